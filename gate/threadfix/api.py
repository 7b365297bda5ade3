"""Sends one request to ThreadFix's REST API, and returns the envelope in its response or a failure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from gate.model.advice import FailureKind
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.net.connections import OK
from gate.net.http import RESPONSE_LIMIT, RequestMade, Response, Transport
from gate.text.sanitizer import fold, trim
from gate.threadfix import responses
from gate.threadfix.refusals import mentions_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gate.text.sanitizer import Sanitizer
    from gate.threadfix.links import Server

REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)
DENIED: Final = frozenset({401, 403})
NOT_FOUND: Final = frozenset({404, 410})
NO_CONTENT: Final = 204
NO_METHOD: Final = 405
PROXY_LOGIN: Final = 407
TOO_LARGE: Final = 413
TEMPORARY: Final = frozenset({408, 425, 429, *range(500, 600)})
UNRECOGNIZED: Final = "Bad rest request due to unrecognized path."
"""ThreadFix's text for an endpoint that it does not have (Community Edition, `UnknownRestController`)."""
SHORTEST: Final = 0.001
"""Seconds for a request if the requests before it have used up the time."""
PAGE_START: Final = 20_000
"""Bytes of a web page that are searched for its title."""

_PAGE_TITLE: Final = re.compile(rb"<title[^<>]*>(.{1,200}?)</title", re.IGNORECASE | re.DOTALL)


class ApiResponse(NamedTuple):
    """A response from ThreadFix itself. Its texts are not sanitized."""

    http: Response
    envelope: responses.Envelope


class RestApi:
    """The REST API of a server; safe to use from several threads. `trace` is called for each request, in its thread."""

    def __init__(self, server: Server, sanitizer: Sanitizer, trace: Callable[[RequestMade], None]) -> None:
        self.http = Transport(server, sanitizer, trace)
        self.server = server
        self.sanitize = sanitizer.sanitize
        self.redact = sanitizer.redact
        self._digits = sanitizer.digits

    def request(
        self,
        url: str,
        timeout: float,
        form: Mapping[str, str] | None = None,
        *,
        limit: int = RESPONSE_LIMIT,
        refusals: bool = False,
    ) -> ApiResponse | Failure:
        """Send one request: a POST if there is a form, otherwise a GET.

        Args:
            url: of the endpoint.
            timeout: seconds for the whole request.
            form: fields to send.
            limit: bytes of the response's body.
            refusals: as for `read`.
        """
        if form is None:
            response = self.http.get(url, timeout, limit=limit)
        else:
            response = self.http.post(url, form, timeout, limit=limit)
        return response if isinstance(response, Failure) else self.read(response, refusals=refusals)

    def read(self, response: Response, *, refusals: bool = False) -> ApiResponse | Failure:
        """Return the envelope in a response, or the failure if ThreadFix did not send it or refuses.

        Args:
            response: from the server.
            refusals: whether to return a `success: false` with HTTP 200, so that the caller can read its `message`. A
                refusal that mentions the key or a permission is still a failure.
        """
        code = response.http_status
        if code in REDIRECTS:
            target = self.sanitize(response.headers.get("Location", "nowhere"), 200)
            to_https = target.lower().startswith("https:") and self.server.url.startswith("http:")
            what = f"returned HTTP {code}, a redirect to {target}, which the gate does not follow."
            return self.protocol(response, what, FailureKind.REDIRECT_TO_HTTPS if to_https else FailureKind.REDIRECT)
        envelope, problem = None, ""
        try:
            envelope = responses.parse(response.body, self._digits)
        except responses.NotThreadFixError as error:
            problem = str(error)
        refused = envelope is not None and not envelope.success
        message = (responses.non_empty(envelope.message) or "") if envelope and refused else ""
        refusal = _refusal(code, message, refused=refused)
        if envelope and (not refusal or (refusals and code == OK and refusal[0] is not Reason.DENIED)):
            return ApiResponse(response, envelope)
        if not refusal:
            return self._not_threadfix(response, problem)
        reason, kind, final = refusal
        text = " and refused without a message" if refused else ""
        text = f" and says: {self.sanitize(message).rstrip('.')}" if message else text
        what = f"{self.http.host} returned HTTP {code}{text}."
        return Failure(
            reason, what, kind, final=final, retry_after=response.retry_after, http_status=code, refused=refused
        )

    def text(self, value: object) -> str | None:
        """Return sanitized text; None if the value is not text, or is blank."""
        return self.sanitize(text) or None if (text := responses.non_empty(value)) else None

    def protocol(self, response: Response, what: str, kind: FailureKind = FailureKind.NOT_THREADFIX) -> Failure:
        """Return the failure for a response that breaks the protocol. A later response may be good.

        Args:
            response: from the server.
            what: the error, as the rest of a sentence that begins with the server's name; sanitized.
            kind: of the failure.
        """
        return Failure(
            Reason.PROTOCOL,
            f"{self.http.host} {what}",
            kind,
            retry_after=response.retry_after,
            http_status=response.http_status,
        )

    def malformed(self, response: ApiResponse, what: str, error: responses.NotThreadFixError) -> Failure:
        """Return the failure for an envelope whose content has the wrong shape.

        Args:
            response: from ThreadFix.
            what: the missing part, such as `no pending scan`.
            error: from reading the envelope.
        """
        return self.protocol(response.http, f"returned {what}: {self.sanitize(str(error))}.")

    def cached(self, response: Response) -> Failure:
        """Return the failure for a copy from a cache, which may be older than the scan."""
        what = f"{self.http.host}: a cache returned a copy of an earlier response."
        return Failure(Reason.POLICY_UNKNOWN, what, FailureKind.CACHED, http_status=response.http_status)

    def about_another(self, returned: int, application_id: int) -> Failure:
        """Return the failure for a response about another application than the requested application."""
        return Failure(
            Reason.PROTOCOL,
            f"{self.http.host} returned application {returned}, but application {application_id} was requested.",
            FailureKind.ANOTHER,
            final=True,
        )

    def _not_threadfix(self, response: Response, problem: str) -> Failure:
        if response.body.lstrip()[:1] == b"<":
            match = _PAGE_TITLE.search(response.body[:PAGE_START])
            title = f" ('{self.sanitize(match[1].decode('utf-8', 'replace'), 80)}')" if match else ""
            return self.protocol(response, f"returned a web page{title} instead of JSON.", FailureKind.WEB_PAGE)
        return self.protocol(response, f"did not return a ThreadFix response: {self.sanitize(problem)}.")


def left(until: float) -> float:
    """Return the seconds until the moment `until` on the monotonic clock, at least `SHORTEST`."""
    return max(SHORTEST, until - time.monotonic())


def lacks_endpoint(response: ApiResponse | Failure) -> bool:
    """Return whether the server lacks the endpoint or its HTTP method. It may have another form of the endpoint."""
    if isinstance(response, Failure):
        return response.http_status in {*NOT_FOUND, NO_METHOD}
    message = responses.non_empty(response.envelope.message) or ""
    return not response.envelope.success and fold(trim(message)) == fold(UNRECOGNIZED)


def _refusal(code: int, message: str, *, refused: bool) -> tuple[Reason, FailureKind, bool] | None:
    """Return the reason of a refusal and whether it is final; None for a good response.

    The key counts as refused if the message mentions it, with any HTTP status that is not temporary.

    Args:
        code: HTTP status.
        message: of the refusal, complete, as the server wrote it.
        refused: whether the envelope has `success: false`.
    """
    if code == PROXY_LOGIN or code in TEMPORARY:
        # A proxy sends 407, so a new request cannot succeed, and the text is not ThreadFix's.
        is_login = code == PROXY_LOGIN
        return Reason.UNREACHABLE, FailureKind.PROXY_LOGIN if is_login else FailureKind.UNAVAILABLE, is_login
    if code in DENIED or mentions_key(message):
        return Reason.DENIED, FailureKind.DENIED, True
    if code in NOT_FOUND:
        return Reason.NOT_FOUND, FailureKind.NO_ENDPOINT, False
    if code in CLIENT_ERRORS:
        return Reason.PROTOCOL, FailureKind.TOO_LARGE if code == TOO_LARGE else FailureKind.REJECTED, True
    if code != OK:
        return Reason.PROTOCOL, FailureKind.NO_CONTENT if code == NO_CONTENT else FailureKind.NOT_THREADFIX, False
    return (Reason.NOT_FOUND, FailureKind.NOT_FOUND, False) if refused else None
