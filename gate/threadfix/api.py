"""Sends one request to ThreadFix's REST API, and returns the envelope in its response or a failure."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

from gate.model.advice import FailureKind
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.net.connections import OK
from gate.net.http import RESPONSE_LIMIT, RequestMade, Response, Transport
from gate.text.sanitizer import fold, trim
from gate.threadfix import responses
from gate.threadfix.refusals import UNRECOGNIZED, mentions_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gate.text.sanitizer import Sanitizer
    from gate.threadfix.links import Server

T = TypeVar("T")

REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)
DENIED: Final = frozenset({401, 403})
NOT_FOUND: Final = frozenset({404, 410})
NO_CONTENT: Final = 204
NO_METHOD: Final = 405
PROXY_LOGIN: Final = 407
FORBIDDEN: Final = 403
TOO_LARGE: Final = 413
TEMPORARY: Final = frozenset({408, 425, 429, *range(500, 600)})
NO_KEY: Final = "Authentication failed, check your API Key."  # no key arrived; an unknown key has another text (CE)
LOGIN: Final = "/login.jsp"  # path of ThreadFix's login page, below the base URL
CONTEXT_PATH: Final = "/threadfix"  # the usual one
REFUSING: Final = frozenset({OK, 400, *range(500, 600)})  # may refuse a file (CE, `RestExceptionControllerAdvice`)
SHORTEST: Final = 0.001  # seconds for a request if the requests before it have used up the time
TITLE_LIMIT: Final = 80  # characters of a title that are shown
_PAGE_TITLE: Final = re.compile(rb"<title[^<>]*>(.{1,200}?)</title", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(rb"<[^<>]{0,1000}>")
_LICENCE_PAGE: Final = re.compile(rb"<h1>[^<>]{1,500}</h1>")
_JSON: Final = re.compile(rb"\s*[{\[]")


class ApiResponse(NamedTuple):
    """A response from ThreadFix itself. Its texts are not sanitized."""

    http: Response
    envelope: responses.Envelope


class RestApi:
    """The REST API of a server; safe to use from several threads. `trace` is called for each request, in its thread."""

    def __init__(self, server: Server, sanitizer: Sanitizer, trace: Callable[[RequestMade], None]) -> None:
        self.http = Transport(server, sanitizer, trace, self.parse)
        self.server = server
        self.sanitize = sanitizer.sanitize
        self.redact = sanitizer.redact
        self._digits = sanitizer.digits
        self._lock = threading.Lock()
        self._responded = False
        self._is_below = False  # whether ThreadFix responds under its usual context path, which the URL lacks

    def request(
        self,
        url: str,
        timeout: float,
        form: Mapping[str, str] | None = None,
        *,
        limit: int = RESPONSE_LIMIT,
        refusals: bool = False,
    ) -> ApiResponse | Failure:
        """Send one request: a POST if there is a form, otherwise a GET. `refusals` is as for `read`."""
        ends = time.monotonic() + timeout
        response = self.http.request(url, timeout, form, limit=limit)
        if isinstance(response, Failure):
            return response
        content = self.read(response, refusals=refusals)
        with self._lock:
            is_first, self._responded = not self._responded, True
        return self._other_base(url, content, ends, is_first=is_first) or content

    def _other_base(self, url: str, page: ApiResponse | Failure, ends: float, *, is_first: bool) -> Failure | None:
        """Return the failure if the URL lacks its context path: one request, without the key, finds ThreadFix there."""
        base = self.server.url
        if not isinstance(page, Failure) or page.refused or urlsplit(base).path:
            return None
        if page.http_status not in {*REDIRECTS, *NOT_FOUND}:
            return None
        right = f"{base}{CONTEXT_PATH}"
        if is_first:
            response = self.http.request(right + url.removeprefix(base).partition("?")[0], left(ends), with_key=False)
            self._is_below = not isinstance(response, Failure) and isinstance(response.content, responses.Envelope)
        if not self._is_below:
            return None
        what = f"{self.http.host} returned HTTP {page.http_status}; ThreadFix itself responds under {right}."
        return replace(page, what=what, kind=FailureKind.CONTEXT_PATH, final=True)

    def read(self, response: Response, *, refusals: bool = False) -> ApiResponse | Failure:
        """Return the envelope in a response, or the failure if ThreadFix did not send it or refuses.

        With `refusals`, a `success: false` with a status of `REFUSING` is returned, so that the caller can read its
        `message`, unless that mentions the key or a permission.
        """
        code = response.http_status
        if code in REDIRECTS:
            return self._redirect(response)
        envelope = response.content if isinstance(response.content, responses.Envelope) else None
        refused = envelope is not None and not envelope.success
        message = (responses.non_empty(envelope.message) or "") if envelope and refused else ""
        is_definite = refusals and refused and code in REFUSING
        refusal = _refusal(OK if is_definite else code, message, refused=refused)
        if envelope and (not refusal or (is_definite and refusal[0] is not Reason.DENIED)):
            return ApiResponse(response, envelope)
        if not refusal:
            return self._not_threadfix(response)
        reason, kind, final = refusal
        text = " and refused without a message" if refused else ""
        if message:
            text = f" and says: {self.sanitize(message).rstrip('.')}"
        elif not envelope:
            text = self._page(response)
            # ThreadFix itself may send a page with 401.
            if code == FORBIDDEN and text:
                is_licence = "Content-Type" not in response.headers and _LICENCE_PAGE.fullmatch(response.body.strip())
                kind = FailureKind.LICENCE if is_licence else FailureKind.DENIED_PAGE
        failure = self.protocol(response, f"returned HTTP {code}{text}.", kind)
        return replace(failure, reason=reason, final=final, refused=refused)

    def _redirect(self, response: Response) -> Failure:
        """Return the failure of a redirect; its kind depends on the target."""
        # `http.client` decodes it as Latin-1: invisible characters between those of a key would look visible.
        location = response.headers.get("Location", "").encode("latin-1", "replace").decode("utf-8", "replace")
        own = urlsplit(self.server.url)
        try:
            target = urlsplit(urljoin(f"{self.server.url}/", location))
            same_host = target.hostname == own.hostname
        except ValueError:
            target, same_host = own, True
        # A session id follows the path.
        path, to_https = target.path.partition(";")[0], (own.scheme, target.scheme) == ("http", "https")
        kind = FailureKind.REDIRECT if same_host else FailureKind.REDIRECT_TO_HOST
        shown = self.sanitize(location.partition(";jsessionid=")[0] or "nowhere", 200)
        if path.endswith(LOGIN):
            base = path.removesuffix(LOGIN)
            # A proxy that ends TLS often lets ThreadFix believe that it is asked over http.
            is_own = same_host and base == own.path and not to_https
            kind = FailureKind.REFUSED_PATH if is_own else FailureKind.REDIRECT_TO_LOGIN
            if not is_own:
                shown += f" (the login page of {self.sanitize(f'{target.scheme}://{target.netloc}{base}', 200)})"
        elif same_host and to_https:
            kind = FailureKind.REDIRECT_TO_HTTPS
        what = f"returned HTTP {response.http_status}, a redirect to {shown}, which the gate does not follow."
        return self.protocol(response, what, kind)

    def _page(self, response: Response) -> str:
        """Return the title or the first words of a page that is not ThreadFix's, and the proxy, for a sentence."""
        match = _PAGE_TITLE.search(response.body)
        words = match[1] if match else _TAG.sub(b" ", response.body)
        title = self.sanitize(b" ".join(words.split()).decode("utf-8", "replace"), TITLE_LIMIT).rstrip(".")
        if not title or _JSON.match(response.body):
            return ""
        return f" with the page '{title}'{f', through the proxy {self.http.proxy}' if self.http.proxy else ''}"

    def parse(self, body: bytes | bytearray) -> responses.Envelope | responses.NotThreadFixError:
        """Return the envelope in the body of a response, or its flaw."""
        try:
            return responses.parse(body, self._digits)
        except responses.NotThreadFixError as error:
            return error

    def text(self, value: object) -> str | None:
        """Return sanitized text; None if the value is not text, or is blank."""
        return self.sanitize(text) or None if (text := responses.non_empty(value)) else None

    def protocol(self, response: Response, what: str, kind: FailureKind = FailureKind.NOT_THREADFIX) -> Failure:
        """Return the failure for a response that breaks the protocol. A later response may be good.

        `what` is the rest of a sentence that begins with the server's name; sanitized.
        """
        what, code = f"{self.http.host} {what}", response.http_status
        return Failure(Reason.PROTOCOL, what, kind, retry_after=response.retry_after, http_status=code)

    def malformed(self, response: ApiResponse, what: str, error: responses.NotThreadFixError) -> Failure:
        """Return the failure for an envelope that lacks a part, such as `no pending scan`."""
        return self.protocol(response.http, f"returned {what}: {self.sanitize(str(error))}.")

    def converted(
        self, response: ApiResponse, read: Callable[[responses.Envelope], T], what: str, ends: float
    ) -> T | Failure:
        """Return the content of a long response, as `read` converts it before the moment `ends`; `what` is missing."""

        def convert(_: object) -> T | Failure:
            try:
                return read(response.envelope)
            except responses.NotThreadFixError as error:
                return self.malformed(response, what, error)

        return self.http.probe(convert, left(ends))

    def cached(self, response: Response) -> Failure:
        """Return the failure for a copy from a cache, which may be older than the scan."""
        what = f"{self.http.host}: a cache returned a copy of an earlier response."
        return Failure(Reason.POLICY_UNKNOWN, what, FailureKind.CACHED, http_status=response.http_status)

    def about_another(self, returned: int, application_id: int) -> Failure:
        """Return the failure for a response about another application than the requested application."""
        what = f"{self.http.host} returned application {returned}, but application {application_id} was requested."
        return Failure(Reason.PROTOCOL, what, FailureKind.ANOTHER, final=True)

    def _not_threadfix(self, response: Response) -> Failure:
        if response.body.lstrip()[:1] == b"<":
            what = f"returned HTTP {response.http_status}{self._page(response) or ' with a page'} instead of JSON."
            return self.protocol(response, what, FailureKind.WEB_PAGE)
        return self.protocol(response, f"did not return a ThreadFix response: {self.sanitize(str(response.content))}.")


def left(until: float) -> float:
    """Return the seconds until the moment `until` on the monotonic clock, at least `SHORTEST`."""
    return max(SHORTEST, until - time.monotonic())


def _is(message: str, text: str) -> bool:
    """Return whether a message is a text of ThreadFix, in any case of its letters."""
    return fold(trim(message)) == fold(text)


def _refusal(code: int, message: str, *, refused: bool) -> tuple[Reason, FailureKind, bool] | None:
    """Return the reason of a refusal, its kind, and whether it is final; None for a good response.

    The key counts as refused if the message mentions it, with any HTTP status that is not temporary. `message` is
    complete, as the server wrote it; `refused` is whether the envelope has `success: false`.
    """
    if code == PROXY_LOGIN or code in TEMPORARY:
        # A proxy sends 407, so a new request cannot succeed, and the text is not ThreadFix's.
        is_login = code == PROXY_LOGIN
        return Reason.UNREACHABLE, FailureKind.PROXY_LOGIN if is_login else FailureKind.UNAVAILABLE, is_login
    if code in DENIED or mentions_key(message):
        return Reason.DENIED, FailureKind.NO_KEY if _is(message, NO_KEY) else FailureKind.DENIED, True
    if code in NOT_FOUND or (refused and code == OK):
        kind = FailureKind.NO_ENDPOINT if code in NOT_FOUND else FailureKind.NOT_FOUND
        is_lacking = refused and _is(message, UNRECOGNIZED)
        return Reason.NOT_FOUND, FailureKind.UNRECOGNIZED_PATH if is_lacking else kind, False
    if code in CLIENT_ERRORS:
        return Reason.PROTOCOL, FailureKind.TOO_LARGE if code == TOO_LARGE else FailureKind.REJECTED, True
    if code == OK:
        return None
    return Reason.PROTOCOL, FailureKind.NO_CONTENT if code == NO_CONTENT else FailureKind.NOT_THREADFIX, False
