"""Asks ThreadFix, and turns every response or failure into an Observation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from gate.connections import OK
from gate.history import Application, Failure, Observation, ScanReading
from gate.http import RequestMade, Response, Transport
from gate.reasons import Reason
from gate.threadfix import responses
from gate.threadfix.refusals import mentions_key, names_key, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.history import Receipt
    from gate.settings import Plan
    from gate.subjects import ApplicationName, ScanFile, Target
    from gate.text import Sanitizer
    from gate.threadfix.server import Server

REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)
DENIED: Final = frozenset({401, 403})
NOT_FOUND: Final = frozenset({404, 410})
PROXY_LOGIN: Final = 407
TEMPORARY: Final = frozenset({408, 425, 429, *range(500, 600)})
STATUS_LIMIT: Final = 80
"""Characters of a status; the longest documented one has 24."""
PAGE_START: Final = 20_000
"""Bytes of a web page in which its title is looked for."""

_PAGE_TITLE: Final = re.compile(rb"<title[^<>]*>(.{1,200}?)</title", re.IGNORECASE | re.DOTALL)

CONTEXT_HINT: Final = (
    "Does {--url} lack its context path, such as /threadfix? If it has one, see what answers there instead of "
    "ThreadFix: a login page, a proxy, a load balancer."
)
HTTPS_HINT: Final = "ThreadFix wants https: write {--url} with https:// in front."
PROXY_LOGIN_HINT: Final = (
    "The proxy in between wants a login; put it into HTTPS_PROXY, as http://user:password@proxy:port."
)


class Client:
    """The calls that the gate makes; safe to use from several threads.

    Args:
        server: which server, and how to talk to it.
        scrub: makes the server's words safe; every one of them goes through it here.
        trace: told of every request, in the thread that observes.

    Attributes:
        http: what sends the requests.
    """

    def __init__(self, server: Server, sanitizer: Sanitizer, *, trace: Callable[[RequestMade], None]) -> None:
        """Nothing is sent yet."""
        self.http = Transport(server, sanitizer, trace)
        self._server = server
        self._sanitizer = sanitizer

    def observe(self, target: Target, timeout: float) -> Observation:
        """Ask once for the status of `target`; the answer is here within `timeout` seconds.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        asked = self._ask(self._server.status_url(target), timeout)
        if isinstance(asked, Failure):
            return asked
        response, reply = asked
        try:
            scan = responses.pending_scan(reply)
        except responses.NotThreadFixError as error:
            return self._protocol(response, f"returned no pending scan: {self._sanitizer.sanitize(str(error))}.")
        if scan.app_id != target.application_id:
            return self._about_another(scan.app_id, target.application_id)
        status = self._sanitizer.sanitize(scan.status, STATUS_LIMIT)
        if status != scan.status.strip():
            # What is decided must be what was said: sanitizing must not make a success of something else.
            return self._protocol(response, f"returned a status that is not a plain word: {status}.")
        return ScanReading(
            status=status,
            error=scan.error,
            error_message=self._words(scan.error_message),
            refusal=refusal_of(responses.non_empty(scan.error_message) or ""),
            scan_id=responses.identity(scan.scan_id),
            name=self._words(scan.name),
            message=self._words(scan.scan_message) or self._words(reply.message),
            age=_age(scan.modified_date, response.date),
            since=responses.moment(scan.modified_date) or response.date,
        )

    def application(self, application_id: int, timeout: float) -> Application | Failure:
        """Ask once for an application.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        asked = self._ask(self._server.application_url(application_id), timeout)
        if isinstance(asked, Failure):
            return asked
        response, reply = asked
        try:
            found = responses.application(reply)
        except responses.NotThreadFixError as error:
            return self._protocol(response, f"returned no application: {self._sanitizer.sanitize(str(error))}.")
        if found.id != application_id:
            return self._about_another(found.id, application_id)
        name = self._sanitizer.sanitize(responses.non_empty(found.name) or "", 80)
        return Application(found.id, name, responses.team_id(found))

    def look_up(self, name: ApplicationName, timeout: float) -> Application | Failure:
        """Ask once for an application by its names.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        raise NotImplementedError

    def upload(self, application_id: int, plan: Plan, file: ScanFile, progress: Callable[[int], None]) -> Receipt:
        """Upload a file, once.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        raise NotImplementedError

    def _ask(self, url: str, timeout: float) -> tuple[Response, responses.Envelope] | Failure:
        """Ask ThreadFix once; its response and the envelope in it."""
        response = self.http.get(url, timeout)
        if isinstance(response, Failure):
            return response
        reply = self._envelope(response)
        return reply if isinstance(reply, Failure) else (response, reply)

    def _words(self, value: object) -> str | None:
        """The server's words as safe text; None where there are none."""
        return self._sanitizer.sanitize(found) or None if (found := responses.non_empty(value)) else None

    def _envelope(self, response: Response) -> responses.Envelope | Failure:
        """The envelope of a response that ThreadFix itself sent and that is no refusal; else what it amounts to."""
        code = response.http_status
        if code in REDIRECTS:
            where = self._sanitizer.sanitize(response.headers.get("Location", "nowhere"), 200)
            to_https = where.lower().startswith("https:") and self._server.url.startswith("http:")
            what = f"returned HTTP {code}, a redirect to {where}, which the gate does not follow."
            return self._protocol(response, what, HTTPS_HINT if to_https else CONTEXT_HINT)
        reply, flaw = None, ""
        try:
            reply = responses.envelope(response.body)
        except responses.NotThreadFixError as error:
            flaw = str(error)
        refused = reply is not None and not reply.success
        message = (responses.non_empty(reply.message) or "") if reply and refused else ""
        refusal = _refusal(code, message, refused=refused)
        if refusal:
            reason, final = refusal
            said = f" and says: {self._sanitizer.sanitize(message).rstrip('.')}" if message else ""
            said = said or (" and refused without a message" if refused else "")
            hint = PROXY_LOGIN_HINT if code == PROXY_LOGIN else None
            what = f"{self.http.host} returned HTTP {code}{said}."
            return Failure(reason, what, hint, final, response.retry_after)
        return reply or self._not_threadfix(response, flaw)

    def _not_threadfix(self, response: Response, flaw: str) -> Failure:
        if response.body.lstrip()[:1] == b"<":
            found = _PAGE_TITLE.search(response.body[:PAGE_START])
            title = f" ('{self._sanitizer.sanitize(found[1].decode('utf-8', 'replace'), 80)}')" if found else ""
            return self._protocol(response, f"returned a web page{title} instead of JSON.", CONTEXT_HINT)
        return self._protocol(response, f"did not return a ThreadFix response: {self._sanitizer.sanitize(flaw)}.")

    def _about_another(self, found: int, asked: int) -> Failure:
        return Failure(
            Reason.PROTOCOL,
            f"{self.http.host} returned application {found}, but application {asked} was requested.",
            "Check {--application-id} and {--status-path}.",
            final=True,
            meaning="The response is about something else than what was asked for, so it says nothing about your scan.",
        )

    def _protocol(self, response: Response, what: str, hint: str | None = None) -> Failure:
        """What is not ThreadFix's response; another one may be."""
        return Failure(Reason.PROTOCOL, f"{self.http.host} {what}", hint, retry_after=response.retry_after)


def _age(modified: object, now: float | None) -> float | None:
    """Seconds from `modifiedDate`, milliseconds since the epoch, to `now`, seconds; None where one is not known."""
    if now is None or type(modified) is not int or not 0 < modified <= now * 1000:
        return None
    return now - modified / 1000


def _refusal(code: int, message: str, *, refused: bool) -> tuple[Reason, bool] | None:
    """The reason in an HTTP status and in what a `success: false` says, and whether it is final; None for a good one.

    A refusal that mentions the key is one whatever its HTTP status; only with 5xx and their like the server may be
    well again later.

    Args:
        code: HTTP status.
        message: what the refusal says, all of it, as the server wrote it.
        refused: whether it was one.
    """
    if code in TEMPORARY:
        return Reason.UNREACHABLE, False
    if code in DENIED or (names_key if code in NOT_FOUND else mentions_key)(message):
        return Reason.DENIED, True
    if code in NOT_FOUND:
        return Reason.NOT_FOUND, False
    if code != OK:
        return Reason.PROTOCOL, code in CLIENT_ERRORS
    return (Reason.NOT_FOUND, False) if refused else None
