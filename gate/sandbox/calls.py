"""The request that an endpoint's handler receives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application
    from gate.sandbox.versions import Version


@dataclass(frozen=True, slots=True)
class Call:
    """A request that matched an endpoint.

    Attributes:
        version: the REST API version of the response.
        segment: the version in the path; empty if the path has no version.
        parts: the named groups of the endpoint's pattern, percent-decoded.
        fields: the fields of the query and the form.
        files: the files of the form.
        known: the application in the path; None if the path names no application.
    """

    version: Version
    segment: str
    parts: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)
    known: Application | None = None

    @property
    def application(self) -> Application:
        """The application of the path. A handler whose path contains an id is called only if it exists."""
        assert self.known is not None  # noqa: S101 - see above
        return self.known
