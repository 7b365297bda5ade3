"""The calls to ThreadFix. Each returns a typed reading, or the failure. Only a bug raises an exception."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

from gate.model.advice import Doing
from gate.model.history import Application, Failure, ListedScans, Observation, ScanReading
from gate.model.reasons import Reason
from gate.model.subjects import suffix
from gate.net.connections import OK
from gate.net.http import LONG_RESPONSE_LIMIT
from gate.text.sanitizer import trim
from gate.threadfix import links, responses
from gate.threadfix.api import RestApi
from gate.threadfix.refusals import refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.events import SendProgress
    from gate.model.history import Receipt
    from gate.model.subjects import ApplicationName, Plan, ScanFile, Target
    from gate.net.http import RequestMade
    from gate.text.sanitizer import Sanitizer
    from gate.threadfix.links import Server
    from gate.threadfix.lookup import Finder

STATUS_LIMIT: Final = 80  # characters of a status; the longest documented status has 24
NAME_LIMIT: Final = 80  # characters of a name
NO_SCANS: Final = "No scans associated with application: "  # and its id, with `success: false` (recorded with 2.3)


class Client:
    """The calls that the gate makes, with all of the server's text sanitized; safe to use from several threads."""

    def __init__(self, server: Server, sanitizer: Sanitizer, *, trace: Callable[[RequestMade], None]) -> None:
        self.api = RestApi(server, sanitizer, trace)
        self.http = self.api.http

    def observe(self, target: Target, timeout: float) -> Observation:
        """Request the status of `target`, once, within `timeout` seconds."""
        api = self.api
        response = api.request(api.server.status_url(target), timeout)
        if isinstance(response, Failure):
            return response
        try:
            scan = responses.pending_scan(response.envelope)
        except responses.NotThreadFixError as error:
            return api.malformed(response, "no pending scan", error)
        if scan.app_id != target.application_id:
            return api.about_another(scan.app_id, target.application_id)
        status = api.sanitize(scan.status, STATUS_LIMIT)
        if status != trim(scan.status):
            # Decide by the status as it was sent: sanitizing must not turn another status into a success.
            return api.protocol(response.http, f"returned a status that is not a plain word: {status}.")
        return ScanReading(
            status=status,
            error=scan.error,
            error_message=api.text(scan.error_message),
            refusal=refusal_of(responses.non_empty(scan.error_message) or ""),
            scan_id=responses.identity(scan.scan_id),
            name=api.text(scan.name),
            message=api.text(scan.scan_message) or api.text(response.envelope.message),
            modified=responses.moment(scan.modified_date),
            sent=response.http.date,
            suffixes=tuple(map(suffix, responses.file_names(scan))),
        )

    def application(self, application_id: int, timeout: float) -> Application | Failure:
        """Request an application, once."""
        api, ends = self.api, time.monotonic() + timeout
        url = api.server.endpoint(links.APPLICATION_PATH, application_id=application_id)
        response = api.request(url, timeout, limit=LONG_RESPONSE_LIMIT)
        if isinstance(response, Failure):
            failure = replace(response, doing=Doing.LOOKUP)
            return self._lookups.explain(failure, ends) if failure.is_missing else failure
        application = api.converted(response, responses.application, "no application", ends)
        if isinstance(application, Failure):
            return application
        if application.id != application_id:
            return api.about_another(application.id, application_id)
        organization = application.organization
        named = (application.name, responses.team_name(organization))
        name, team = (api.sanitize(responses.non_empty(text) or "", NAME_LIMIT) for text in named)
        return Application(application.id, name, responses.team_id(organization), team)

    def scans(self, application_id: int, timeout: float) -> ListedScans | Failure:
        """Request an application's scans, once. A copy from a cache is a failure: it may lack the newest scan."""
        api, ends = self.api, time.monotonic() + timeout
        url = api.server.endpoint(links.SCANS_PATH, application_id=application_id)
        response = api.request(url, timeout, limit=LONG_RESPONSE_LIMIT, refusals=True)
        is_empty = False
        if not isinstance(response, Failure) and not response.envelope.success:
            # Without scans, ThreadFix reports an error.
            is_empty = (response.http.http_status, response.envelope.message) == (OK, f"{NO_SCANS}{application_id}")
            response = response if is_empty else api.read(response.http)
        if isinstance(response, Failure):
            # Neither ThreadFix's own refusal nor a list that is too long changes by itself.
            refused = response.refused and response.reason is not Reason.UNREACHABLE
            return replace(response, final=response.final or refused or response.http_status == OK)
        if response.http.age:
            return api.cached(response.http)
        if is_empty:
            return ListedScans((), response.http.date)
        listed = api.converted(response, partial(self._listed, response.http.date), "no list of scans", ends)
        return replace(listed, final=listed.reason is Reason.PROTOCOL) if isinstance(listed, Failure) else listed

    def _listed(self, sent: float | None, envelope: responses.Envelope) -> ListedScans:
        scans = responses.listed_scans(envelope)
        names = {name: self.api.text(name) for name in {scan.scanner_name for scan in scans}}
        named = {(number, names[name]) for number, _, name in scans if number}
        entries = Counter(number for number, _ in named)
        # An id with two names has no known scanner.
        scanners = tuple((number, name) for number, name in named if name and entries[number] == 1)
        return ListedScans(tuple((number, updated) for number, updated, _ in scans), sent, scanners=scanners)

    def look_up(self, name: ApplicationName, timeout: float) -> Application | Failure:
        """Look up an application by its names, once; see `gate.threadfix.lookup.Finder`."""
        return self._lookups.find(name, timeout)

    @cached_property
    def _lookups(self) -> Finder:
        from gate.threadfix.lookup import Finder

        return Finder(self.api)

    def upload(self, application_id: int, plan: Plan, file: ScanFile, progress: SendProgress) -> Receipt:
        """Upload a file, once; see `gate.threadfix.uploads.upload`."""
        from gate.threadfix import uploads

        return uploads.upload(self.api, application_id, plan, file, progress)
