"""A request that has found its endpoint, as the endpoints take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application
    from gate.sandbox.versions import Version


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has found its endpoint.

    Attributes:
        version: that it gets.
        segment: of its path, for the version; empty for none.
        parts: of its path, by the names in the endpoint's pattern.
        fields: of its query and its form.
        files: that came with it.
        application: the one in its path; None where there is none in it, or none of that id.
    """

    version: Version
    segment: str
    parts: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)
    known: Application | None = None

    @property
    def application(self) -> Application:
        """The application of the path; every endpoint with one in its path is called only where it is there."""
        assert self.known is not None  # noqa: S101 - see above
        return self.known
