"""Asks ThreadFix, and turns every response or failure into an Observation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gate.model.history import Application, Failure, ListedScans, Observation, ScanReading
from gate.model.reasons import Reason
from gate.net.connections import OK
from gate.text.sanitizer import trim
from gate.threadfix import links, responses
from gate.threadfix.api import NO_APPLICATION_MEANING, NO_ENDPOINT_HINT, NO_ENDPOINT_MEANING, NOT_FOUND, RestApi
from gate.threadfix.refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.history import Receipt
    from gate.model.subjects import ApplicationName, ScanFile, Target
    from gate.net.http import RequestMade
    from gate.text.sanitizer import Sanitizer
    from gate.threadfix.links import Server
    from gate.threadfix.lookup import Finder
    from gate.threadfix.uploads import Limits

STATUS_LIMIT: Final = 80
"""Characters of a status; the longest documented one has 24."""
NAME_LIMIT: Final = 80
"""Characters that are kept of a name."""


class Client:
    """The calls that the gate makes; safe to use from several threads.

    Args:
        server: which server, and how to talk to it.
        sanitizer: makes the server's words safe; every one of them goes through it here.
        trace: told of every request, in the thread that observes.

    Attributes:
        api: what asks the endpoints.
        http: what sends the requests.
    """

    def __init__(self, server: Server, sanitizer: Sanitizer, *, trace: Callable[[RequestMade], None]) -> None:
        """Nothing is sent yet."""
        self.api = RestApi(server, sanitizer, trace)
        self.http = self.api.http
        self._server = server
        self._finder: Finder | None = None

    def observe(self, target: Target, timeout: float) -> Observation:
        """Ask once for the status of `target`; the response is here within `timeout` seconds.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        api = self.api
        asked = api.ask(self._server.status_url(target), timeout)
        if isinstance(asked, Failure):
            return asked
        try:
            scan = responses.pending_scan(asked.envelope)
        except responses.NotThreadFixError as error:
            return api.malformed(asked, "no pending scan", error)
        if scan.app_id != target.application_id:
            return api.about_another(scan.app_id, target.application_id)
        status = api.sanitize(scan.status, STATUS_LIMIT)
        if status != trim(scan.status):
            # What is decided must be what was said: sanitizing must not make a success of something else.
            return api.protocol(asked.response, f"returned a status that is not a plain word: {status}.")
        sent = asked.response.date
        return ScanReading(
            status=status,
            error=scan.error,
            error_message=api.words(scan.error_message),
            refusal=refusal_of(responses.non_empty(scan.error_message) or ""),
            scan_id=responses.identity(scan.scan_id),
            name=api.words(scan.name),
            message=api.words(scan.scan_message) or api.words(asked.envelope.message),
            modified=responses.moment(scan.modified_date),
            sent=sent,
        )

    def application(self, application_id: int, timeout: float) -> Application | Failure:
        """Ask once for an application.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        asked = self.api.ask(self._server.endpoint(links.APPLICATION_PATH, application_id=application_id), timeout)
        if isinstance(asked, Failure):
            return _without_application(asked)
        try:
            found = responses.application(asked.envelope)
        except responses.NotThreadFixError as error:
            return self.api.malformed(asked, "no application", error)
        if found.id != application_id:
            return self.api.about_another(found.id, application_id)
        name = self.api.sanitize(responses.non_empty(found.name) or "", NAME_LIMIT)
        return Application(found.id, name, responses.team_id(found.organization))

    def scans(self, application_id: int, timeout: float) -> ListedScans | Failure:
        """Ask once for an application's scans. A copy from a cache may lack the newest one, so it is a failure.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        asked = self.api.ask(self._server.endpoint(links.SCANS_PATH, application_id=application_id), timeout)
        if isinstance(asked, Failure):
            # Neither ThreadFix's own refusal nor a list that is too long changes by itself.
            return replace(asked, final=asked.final or asked.refused or asked.http_status == OK)
        if asked.response.age:
            return self.api.cached(asked.response)
        try:
            return ListedScans(responses.listed_scans(asked.envelope), asked.response.date)
        except responses.NotThreadFixError as error:
            return replace(self.api.malformed(asked, "no list of scans", error), final=True)

    def look_up(self, name: ApplicationName, timeout: float) -> Application | Failure:
        """Ask once for an application by its names; see `gate.threadfix.lookup.Finder`.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        if self._finder is None:
            from gate.threadfix.lookup import Finder

            self._finder = Finder(self.api)
        return self._finder.find(name, timeout)

    def upload(self, application_id: int, limits: Limits, file: ScanFile, progress: Callable[[int], None]) -> Receipt:
        """Upload a file, once; see `gate.threadfix.uploads.upload`.

        Raises:
            BaseException: a bug; a failure is a value.
        """
        from gate.threadfix import uploads

        return uploads.upload(self.api, application_id, limits, file, progress)


def _without_application(failure: Failure) -> Failure:
    """The failure of a request for an application, in words that fit one."""
    if failure.reason is not Reason.NOT_FOUND:
        return failure
    if failure.http_status in NOT_FOUND:
        return replace(failure, hint=NO_ENDPOINT_HINT, meaning=NO_ENDPOINT_MEANING)
    hint = "Check {--application-id} against the URL of the application's page in ThreadFix."
    return replace(failure, hint=hint, meaning=NO_APPLICATION_MEANING)
