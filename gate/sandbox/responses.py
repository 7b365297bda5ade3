"""The HTTP responses of ThreadFix and of the Tomcat in front of it.

In this room, brackets name the source of a fact about ThreadFix: [DOC] a page of the vendor; [CE] the source of the
Community Edition; [RUN] a running Community Edition 2.3; [CLIENT] the code of a public client; [INFER] a guess.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application
    from gate.sandbox.versions import Version

JSON: Final = "application/json;charset=UTF-8"
HTML: Final = "text/html;charset=utf-8"
CONTEXT: Final = "/threadfix"
"""The context path of the base URL."""
LOGIN: Final = f"{CONTEXT}/login.jsp"


@dataclass(frozen=True, slots=True)
class Raw:
    """A literal HTTP response."""

    code: int
    body: bytes = b""
    content_type: str = HTML  # the value of `Content-Type`; empty for none
    headers: tuple[tuple[str, str], ...] = ()  # further headers, as pairs of name and value
    chunked: bool = False  # whether the body is sent in chunks, without a length
    session: bool = True  # whether to set the cookie of a new session


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset of the connection instead of a response."""


@dataclass(frozen=True, slots=True)
class Trickle:
    """A response that arrives byte by byte and never ends."""

    headers_too: bool = False  # whether the headers trickle too, not only the body


Fault = Raw | Reset | Trickle


def envelope(content: object, *, links: object = None, chunked: bool = True) -> Raw:
    """Return a successful response with `content`. `message` repeats the scan's message [DOC]."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    body: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        body["links"] = links
    return Raw(200, _compact(body), JSON, chunked=chunked)


def refusal(message: str, code: int = 200) -> Raw:
    """Return a refusal with `success: false`. ThreadFix sends most refusals with HTTP 200 [RUN]."""
    body = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, _compact(body), JSON, chunked=True)


def _compact(body: object) -> bytes:
    """Encode JSON as ThreadFix does: compact, in raw UTF-8 [RUN]."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")


def page(code: int, title: str, text: str = "", *, session: bool = True) -> Raw:
    """Return a web page."""
    head = f'<!doctype html><html lang="en"><head><title>{title}</title></head>'
    return Raw(code, f"{head}<body><h1>{title}</h1><p>{text}</p></body></html>".encode(), session=session)


def to_login(origin: str = "") -> Raw:
    """Return a redirect to the login page. It is absolute for a page of the context, relative within `/rest` [RUN]."""
    session = session_id()
    headers = (("Location", f"{origin}{LOGIN};jsessionid={session}"), cookie(session))
    return Raw(302, content_type="", headers=headers, session=False)


def session_id() -> str:
    """Return the id of a new session."""
    return secrets.token_hex(16).upper()


def cookie(session: str) -> tuple[str, str]:
    """Return the header that sets a session's cookie. Each REST response has a new session [RUN]."""
    return "Set-Cookie", f"JSESSIONID={session}; Path={CONTEXT}; HttpOnly"


UNRECOGNIZED: Final = refusal("Bad rest request due to unrecognized path.", 404)
"""The response to a path or method that matches no endpoint [RUN]."""
LOOKUP_FAILED: Final = refusal("Application lookup failed. Check your ID.")
"""The response to the id or name of an unknown application [RUN]."""
SYSTEM_ERROR: Final = page(200, "System error", "A system error occurred.")
"""The response after an uncaught exception, such as that about a missing or malformed form [RUN]."""
BROKEN_PATH: Final = page(500, "System error", "A system error occurred.")
"""The response to a path with a percent sign in the name of a team [RUN]."""
NOTHING: Final = Raw(204, content_type="")
"""The response of the filter against forged forms: nothing was taken [RUN]."""
TOMCAT_400: Final = page(400, "HTTP Status 400 – Bad Request", "Invalid URI", session=False)
"""The response to a path or query that Tomcat does not read [RUN]."""
TOMCAT_404: Final = page(404, "HTTP Status 404 – Not Found", "Not Found", session=False)
"""The response outside of the context path [RUN]."""
OPTIONS: Final = Raw(200, content_type="", headers=(("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"),))
LOGIN_PAGE: Final = page(200, "ThreadFix", "Username Password Login", session=False)
TO_CONTEXT: Final = Raw(302, content_type="", headers=(("Location", f"{CONTEXT}/"),), chunked=True, session=False)
"""The response to the context path without a slash [RUN]."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that matched an endpoint."""

    version: Version  # the REST API version of the response
    segment: str  # the version in the path; empty if the path has no version
    parts: dict[str, str]  # the named groups of the endpoint's pattern
    fields: dict[str, str] = field(default_factory=dict)  # the fields of the query and the form
    files: list[ReceivedFile] = field(default_factory=list)  # the files of the form
    known: Application | None = None  # the application in the path; None if the path names no application

    @property
    def application(self) -> Application:
        """The application of the path. A handler whose path contains an id is called only if it exists."""
        assert self.known is not None  # noqa: S101 - see above
        return self.known
