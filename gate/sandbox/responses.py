"""The JSON envelope of ThreadFix's responses, for successes and refusals."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gate.sandbox.scenarios import Raw

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application
    from gate.sandbox.versions import Version

JSON: Final = "application/json;charset=UTF-8"


def envelope(content: object, *, links: object = None) -> Raw:
    """Return a successful response with `content`. As in ThreadFix, `message` repeats the scan's message."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    body: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        body["links"] = links
    return Raw(200, json.dumps(body).encode(), JSON)


def refusal(message: str, code: int = 200) -> Raw:
    """Return a refusal with `success: false`. ThreadFix sends most refusals with HTTP 200."""
    body = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, json.dumps(body).encode(), JSON)


UNRECOGNIZED: Final = refusal("Bad rest request due to unrecognized path.", 404)
"""The response to a path, method or `Accept` header that matches no endpoint."""
LOOKUP_FAILED: Final = refusal("Application lookup failed. Check your ID.")
"""The response to the id or name of an unknown application."""


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
