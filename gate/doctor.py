"""The command `doctor`: check each step between this machine and the pending scan. Changes nothing in ThreadFix."""

from __future__ import annotations

import socket
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gate import __version__
from gate.flow.context import CommandContext
from gate.judge.checks import NO_CRITERIA, NO_POLICIES
from gate.model.advice import CERTIFICATES, DOCTOR, FailureKind, advise
from gate.model.history import Application, CheckReading, Failure, ScanReading
from gate.model.reasons import GateError, Reason, UsageError
from gate.model.subjects import AllPolicies, ApplicationName, PassCriteria, Policy, Target
from gate.options.table import URL
from gate.reporters import doctor as report
from gate.reporters.doctor import Outcome, State, passed, skipped
from gate.text.wording import count, seconds
from gate.threadfix.api import DENIED, NOT_FOUND, REDIRECTS
from gate.threadfix.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.model.reasons import InvalidOption
    from gate.model.subjects import Check
    from gate.net.http import RequestMade
    from gate.options.settings import Settings
    from gate.text.sanitizer import Sanitizer

    Flags = Mapping[str, Sequence[str]]  # the command line's values by option name

UNUSED_ID: Final = 999_999_999
"""An id that no application and no pending scan has. It fits into 32 bits, as ThreadFix's ids do."""
EXPIRY_WARNING_DAYS: Final = 14
MAX_CLOCK_SKEW: Final = 300.0  # seconds; as much as Kerberos allows
_FROM_THREADFIX: Final = (Reason.DENIED, Reason.NOT_FOUND)
"""Failures that ThreadFix itself may have reported. After any other failure, further requests would fail too."""
PLAIN_HTTP: Final = "not used: the URL is plain http."


def _failed(failure: Failure, step: str = "") -> Outcome:
    hint = advise(failure.kind, failure.doing).hint or DOCTOR.get(step, "")
    return Outcome(State.FAILED, failure.complete, hint, failure.reason)


class _Examination:
    """The gate's requests, and the responses to them; `requests` receives every request of `client`."""

    def __init__(self, settings: Settings, client: Client, sanitizer: Sanitizer, requests: list[RequestMade]) -> None:
        self.settings, self.server, self.client, self.sanitizer = settings, settings.server, client, sanitizer
        self.proxy = client.http.proxy
        self.host = urlsplit(self.server.url).hostname or ""
        self.secure = self.server.url.startswith("https:")
        self.name = settings.application if isinstance(settings.application, ApplicationName) else None
        self.timeout = settings.plan.request_timeout
        self.application_id = settings.application_id
        self.application: Application | Failure | None = None
        self._requests = requests
        self.scans: list[tuple[ScanReading | Failure, RequestMade]] = []
        self.failure: Failure | None = None  # if no pending scan could be read
        self.request: RequestMade

    def send(self) -> None:
        """Request the pending scans, or `UNUSED_ID`; then the application if ThreadFix may have looked for it.

        An application without an id is looked up first, because the other requests need the id.
        """
        unsent = None
        if self.name:
            self.application = self.client.look_up(self.name, self.timeout)
            if isinstance(self.application, Application):
                self.application_id = self.application.id
            elif self.application.unsent:
                unsent = self.application
        numbers = self.settings.pending_scan_ids if self.application_id else ()
        for number in numbers or (UNUSED_ID,):
            target = Target(self.application_id or UNUSED_ID, number)
            number_of_requests = len(self._requests)
            response = unsent or self._with_other_form(target, self.client.observe(target, self.timeout))
            self.scans.append((response, self._requests[-1 if unsent else number_of_requests]))
            if isinstance(response, Failure) and response.reason not in _FROM_THREADFIX:
                break
        first, self.request = next((scan for scan in self.scans if isinstance(scan[0], ScanReading)), self.scans[0])
        self.failure = first if isinstance(first, Failure) else None
        if (
            (not self.failure or self.failure.reason in _FROM_THREADFIX)
            and not self.name
            and self.application_id is not None
        ):
            self.application = self.client.application(self.application_id, self.timeout)

    def _with_other_form(self, target: Target, response: ScanReading | Failure) -> ScanReading | Failure:
        """Return the response; if ThreadFix has no such path, with the form of the path that it has."""
        lacking = FailureKind.UNRECOGNIZED_PATH
        if not isinstance(response, Failure) or response.kind is not lacking:
            return response
        version = "" if self.server.api_version else "latest"
        other = self.client.api.request(replace(self.server, api_version=version).status_url(target), self.timeout)
        exists = not isinstance(other, Failure) or (other.refused and other.kind is not lacking)
        form = f"{'has' if exists else 'lacks'} the path {'with' if version else 'without'} a version segment"
        return replace(response, what=f"{response.what.rstrip('.')}; it {form}{'' if exists else ' too'}.")

    @property
    def application_missing(self) -> bool:
        """Whether ThreadFix itself reported that the application does not exist."""
        return isinstance(self.application, Failure) and self.application.is_missing

    @property
    def key_accepted(self) -> bool:
        """Whether ThreadFix returned the application, or reported that it does not exist: both need a valid key."""
        return isinstance(self.application, Application) or self.application_missing

    def evaluate(self, check: Check | None) -> CheckReading | Failure | Outcome:
        """Evaluate a check by GET; return the outcome if there is no check or no application."""
        from gate.threadfix.policies import CheckReader

        if check is None:
            return skipped("not requested.")
        if self.application_id is None:
            return skipped("cannot be determined: no application is specified.")
        return CheckReader(self.client.api, check, self.application_id)(self.timeout)


# --- The connection.


def _dns(run: _Examination) -> Outcome:
    if run.proxy:
        return skipped(f"requests go through the proxy {run.proxy}, which does the DNS lookup.")
    with suppress(ValueError):
        ip_address(run.host)
        return passed(f"{run.host} is an IP address; no DNS lookup is needed.")
    records = run.client.http.probe(lambda _: socket.getaddrinfo(run.host, None, type=socket.SOCK_STREAM), run.timeout)
    if isinstance(records, Failure):
        return _failed(records, "dns")
    return passed(f"{run.host} resolves to {', '.join(dict.fromkeys(str(record[4][0]) for record in records))}.")


def _tcp(run: _Examination) -> Outcome:
    run.send()
    if run.proxy:
        return skipped(f"the proxy {run.proxy} makes the connection.")
    failure, connection = run.failure, run.request.connection
    if failure and not connection.address:
        return _failed(failure, "connection")
    return passed(f"connected to {connection.address}, port {connection.port}, in {connection.milliseconds:.0f} ms.")


def _tls(run: _Examination) -> Outcome:
    if not run.secure:
        return skipped(PLAIN_HTTP)
    if run.proxy:
        return skipped(f"goes through the proxy {run.proxy}; the request below shows whether it works.")
    failure, version = run.failure, run.request.connection.tls
    if failure and not version and failure.kind not in CERTIFICATES:
        return _failed(failure, "connection")
    return passed(f"{version or 'the server speaks TLS'}.")


def _certificate(run: _Examination) -> Outcome:
    if not run.secure:
        return skipped(PLAIN_HTTP)
    store = f"trust store: {run.sanitizer.sanitize(run.client.http.tls.trust_store, 200)}"
    failure = run.failure
    if not run.proxy and failure and failure.kind in CERTIFICATES:
        return _failed(replace(failure, what=f"{failure.what.rstrip('.')}; {store}."))
    if run.server.insecure:
        return skipped("not verified: verification is switched off.", DOCTOR["insecure"])
    if run.proxy:
        return skipped(f"not visible through the proxy; the request below shows whether it verifies; {store}.")
    issuer = run.sanitizer.sanitize(run.request.connection.issuer or "an unnamed issuer", 80)
    return passed(f"for {run.host}, issued by {issuer}; {store}.")


def _expiry(run: _Examination) -> Outcome:
    expires = None if run.proxy else run.request.connection.expires
    if expires is None:
        return skipped("no certificate was verified here.")
    days = int((expires - time.time()) // (24 * 3600))
    hint = DOCTOR["expiry"] if days < EXPIRY_WARNING_DAYS else ""
    return passed(f"{count(days, 'day')} left, until {datetime.fromtimestamp(expires, timezone.utc):%Y-%m-%d}.", hint)


def _redirects(run: _Examination) -> Outcome:
    failure, http_status = run.failure, run.request.http_status
    if http_status is None:
        return skipped("no response.")
    return _failed(failure) if failure and http_status in REDIRECTS else passed("none.")


def _rest(run: _Examination) -> Outcome:
    failure, request = run.failure, run.request
    if failure and failure.reason not in _FROM_THREADFIX:
        return _failed(failure, "unavailable" if failure.reason is Reason.UNREACHABLE else "rest")
    if failure and not run.key_accepted and request.http_status in NOT_FOUND:
        return _failed(failure, "path")
    if failure and not run.key_accepted and request.http_status in DENIED:
        return skipped(f"cannot be determined: HTTP {request.http_status} may come from any server or proxy.")
    return passed(f"HTTP {request.http_status} in {request.milliseconds:.0f} ms, in ThreadFix's format.")


def _key(run: _Examination) -> Outcome:
    failure = run.failure
    if failure and failure.reason is Reason.DENIED and not run.key_accepted:
        return _failed(failure, "key")
    return passed("accepted.")


def _permission(run: _Examination) -> Outcome:
    failure = run.failure
    if not failure:
        return passed("Upload Scans: ThreadFix returned the pending scan.")
    if failure.reason is Reason.DENIED:
        return _failed(failure, "permission")
    if run.application_id is None:
        unset = "" if run.name else DOCTOR["application-unset"]
        return skipped("Upload Scans: cannot be determined, because it is granted for an application.", unset)
    no_endpoint = run.request.http_status in NOT_FOUND
    if no_endpoint or not isinstance(run.application, Application):
        what = "Upload Scans: cannot be determined, because ThreadFix may not have looked for the pending scan."
        return skipped(what, DOCTOR["status-endpoint"] if no_endpoint else "")
    return passed("Upload Scans: ThreadFix looked for the pending scan and did not refuse.")


def _application(run: _Examination) -> Outcome:
    application_id, application = run.application_id, run.application
    if run.name and isinstance(application, Failure):
        # Without the id, nothing more can be requested.
        return _failed(application, "read-access" if application.reason is Reason.DENIED else "names")
    if application_id is None:
        return skipped("not specified.", DOCTOR["application-unset"])
    if isinstance(application, Application):
        name = f"is '{application.name}'" if application.name else "exists"
        return passed(f"{run.name} is {application_id}." if run.name else f"{application_id} {name}.")
    if not run.failure:
        return passed(f"{application_id} exists; ThreadFix returned its pending scan.")
    if application and run.application_missing:
        return _failed(application)
    why = f" ({application.what.rstrip('.')})" if application else ""
    what = f"ThreadFix did not return application {application_id}, which takes read access{why}"
    return skipped(f"cannot be determined: {what}.")


def _pending_scan(run: _Examination) -> Outcome:
    if not run.settings.pending_scan_ids:
        return skipped("not specified.", DOCTOR["scan-unset"])
    statuses = []
    for number, (response, _) in zip(run.settings.pending_scan_ids, run.scans, strict=False):
        if isinstance(response, Failure):
            return _failed(response, "pending-scan")
        statuses.append(f"{number} is {response.status}")
    return passed(f"{', '.join(statuses)}.")


def _criteria(run: _Examination) -> Outcome:
    check = next((check for check in run.settings.checks if isinstance(check, PassCriteria)), None)
    reading = run.evaluate(check)
    if not isinstance(reading, CheckReading):
        return _failed(reading, "unavailable") if isinstance(reading, Failure) else reading
    number = len(reading.results)
    hint = "" if number else f"The gate ends as policy-unknown: {NO_CRITERIA[0]} {NO_CRITERIA[1]}"
    return passed(f"Manage CI/CD: ThreadFix evaluated {number} criteri{'on' if number == 1 else 'a'}.", hint)


def _policies(run: _Examination) -> Outcome:
    checks = [check for check in run.settings.checks if not isinstance(check, PassCriteria)]
    # Only the list: from 2.8.5 on a policy is evaluated by POST, and the doctor changes nothing.
    reading = run.evaluate(AllPolicies() if checks else None)
    if isinstance(reading, Failure):
        if reading.reason is Reason.DENIED or AllPolicies() in checks:
            return _failed(reading, "unavailable")
        return skipped(f"cannot be determined: ThreadFix did not list the policies ({reading.what.rstrip('.')}).")
    if not isinstance(reading, CheckReading):
        return reading
    from gate.threadfix.policies import candidates

    number = len(reading.results)
    attached = f"{number} polic{'y is' if number == 1 else 'ies are'} attached to the application"
    hint = f"The gate ends as policy-unknown: {NO_POLICIES[0]} {NO_POLICIES[1]}"
    hint = "" if number or AllPolicies() not in checks else hint
    missing = [str(check) for check in checks if isinstance(check, Policy) and not _is_attached(check, reading)]
    if missing:
        # A policy that is not attached may exist; only its evaluation would show that.
        return skipped(f"{' and '.join(missing)}: not attached. {candidates(reading.results)}", DOCTOR["policies"])
    return passed(f"read access: ThreadFix listed the policies; {attached}.", hint)


def _is_attached(check: Policy, reading: CheckReading) -> bool:
    return any(
        check.id == result.policy_id
        if check.name is None
        else result.policy in {(check.name, None), (check.name, check.remediation)}
        for result in reading.results
    )


def _clock(run: _Examination) -> Outcome:
    if run.request.http_status is None:
        return skipped("no response.")
    ahead = next((request.clock_ahead for _, request in run.scans if request.clock_ahead is not None), None)
    if ahead is None:
        return skipped("cannot be determined: the response has no valid Date header.")
    if abs(ahead) > MAX_CLOCK_SKEW:
        message = f"ThreadFix's clock is {seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
        return Outcome(State.FAILED, message, DOCTOR["clock"], Reason.UNREACHABLE)
    return passed(f"ThreadFix's clock and this machine's differ by {round(abs(ahead))}s.")


OPTION_STEPS: Final = ("url", "options")
"""Checked before anything is sent."""
STEPS: Final[dict[str, tuple[Callable[[_Examination], Outcome], tuple[str, ...]]]] = {
    "dns": (_dns, OPTION_STEPS),
    "tcp": (_tcp, ("dns",)),
    "tls": (_tls, ("tcp",)),
    "certificate": (_certificate, ("tls",)),
    "expiry": (_expiry, ("certificate",)),
    "redirects": (_redirects, ("certificate",)),
    "rest": (_rest, ("redirects",)),
    "key": (_key, ("rest",)),
    "permission": (_permission, ("key",)),
    "application": (_application, ("key",)),
    "pending-scan": (_pending_scan, ("permission", "application")),
    "criteria": (_criteria, ("application",)),
    "policies": (_policies, ("application",)),
    "clock": (_clock, ("certificate",)),
}
"""The steps that need the network, each with the steps that must not have failed."""


def run_doctor(flags: Flags, env: Mapping[str, str], signals: Signals, invalid: Sequence[InvalidOption] = ()) -> int:
    """Check every step, and return the exit code of the first step that fails, or 0."""
    context = CommandContext(env, signals)
    outcomes: dict[str, Outcome] = {}
    ended_by: tuple[Reason, int] | None = None
    try:
        _check(context, outcomes, flags, invalid)
    except GateError as error:
        ended_by = (error.reason, error.exit_code)
        context.write_line(f"{error}.")
    except BaseException as error:  # noqa: BLE001 - no error may show the key
        ended_by = (Reason.INTERNAL, Reason.INTERNAL.row.exit_code)
        context.explain(error)
    for name in (*OPTION_STEPS, *STEPS):
        outcomes.setdefault(name, skipped("skipped, because the run ended before."))
    failure = next((outcome.reason for outcome in outcomes.values() if outcome.reason), None)
    reason, exit_code = ended_by or (failure, failure.row.exit_code if failure else 0)
    signals.exit_code = exit_code
    if context.parsed.reports.requested.get("json"):
        try:
            report.print_document(outcomes, reason, exit_code, context.parsed.origin, context.started_at)
        except OSError as error:
            context.write_line(f"warning: --json could not be written ({error.strerror}). The checks still count.")
    context.write_line(report.last_line(outcomes, reason, exit_code))
    context.log.close()
    return exit_code


def _check(
    context: CommandContext, outcomes: dict[str, Outcome], flags: Flags, invalid: Sequence[InvalidOption]
) -> None:
    """Check every step, and add each outcome as soon as it is known."""

    def record(name: str, outcome: Outcome) -> None:
        outcomes[name] = outcome._replace(hint=context.naming.fill(outcome.hint))
        report.log(context.console, name, outcomes[name])

    settings: Settings | None = None
    try:
        settings, invalid = context.parse(flags, invalid, needs_scan=False), ()
    except UsageError as error:
        invalid = error.invalid
    context.console.line(f"threadfix-gate {__version__}: checking the connection to ThreadFix (read-only)")
    server, hint = context.parsed.server, ""
    url = server.url if server else ""
    if settings and settings.server.allow_http and url.startswith("http:"):
        hint = DOCTOR["http"]
    elif settings and not urlsplit(url).path:
        hint = DOCTOR["context-path"]
    record("url", _invalid(option for option in invalid if option.option == URL.label) or passed(url, hint))
    others = _invalid(option for option in invalid if option.option != URL.label)
    record("options", others or passed("complete and consistent."))
    if settings is None:
        return
    requests: list[RequestMade] = []

    def trace(request: RequestMade) -> None:
        requests.append(request)
        context.console.requested(request)

    client = Client(settings.server, context.sanitizer, trace=trace)
    examination = _Examination(settings, client, context.sanitizer, requests)
    blocked: set[str] = set()
    with closing(client.http):
        for name, (check, needs) in STEPS.items():
            need = next((need for need in needs if need in blocked or outcomes[need].state is State.FAILED), None)
            if need is None:
                record(name, context.signals.call(partial(check, examination)))
            else:
                record(name, outcomes[need] if need in blocked else skipped(f"skipped, because {need} failed."))
                blocked.add(name)


def _invalid(options: Iterable[InvalidOption]) -> Outcome | None:
    """Return the outcome of invalid options; None without any."""
    message = "\n".join(map(str, options))
    return Outcome(State.FAILED, message, DOCTOR["options"], Reason.USAGE) if message else None
