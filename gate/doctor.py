"""The command `doctor`: check each step between this machine and the pending scan. Changes nothing in ThreadFix."""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property, partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gate import __version__
from gate.flow.context import CommandContext
from gate.judge.checks import NO_CRITERIA, NO_POLICIES
from gate.model.advice import CERTIFICATES, DOCTOR, FailureKind, advise
from gate.model.errors import GateError, UsageError
from gate.model.history import Application, Failure, ScanReading
from gate.model.reasons import Reason, Word
from gate.model.subjects import AllPolicies, ApplicationName, PassCriteria, Target
from gate.options.table import URL
from gate.reporters.closing import LineKind
from gate.reporters.streams import print_whole
from gate.text.wording import count, seconds, timestamp
from gate.threadfix.api import DENIED, NOT_FOUND, REDIRECTS
from gate.threadfix.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.model.errors import InvalidOption
    from gate.model.history import CheckReading, Observation
    from gate.model.subjects import Check
    from gate.net.http import RequestMade
    from gate.options.settings import Settings
    from gate.text.sanitizer import Sanitizer

SCHEMA_VERSION: Final = 1
"""Of the JSON document, `docs/doctor.schema.json`."""
UNUSED_ID: Final = 999_999_999
"""An id that no application and no pending scan has. It fits into 32 bits, as ThreadFix's ids do."""
EXPIRY_WARNING_DAYS: Final = 14
MAX_CLOCK_SKEW: Final = 300.0
"""Seconds that two clocks may differ; as much as Kerberos allows."""
_DAY: Final = 24 * 3600
_FROM_THREADFIX: Final = (Reason.DENIED, Reason.NOT_FOUND)
"""Failures that ThreadFix itself may have reported. After any other failure, further requests would fail too."""

PLAIN_HTTP: Final = "not used: the URL is plain http."
NO_RESPONSE: Final = "no response."
NO_APPLICATION: Final = "cannot be determined: no application is specified."


class State(Word):
    """The result of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a step. The message follows the step's name and is safe; the hint is a template of ours."""

    state: State
    message: str
    hint: str = ""
    reason: Reason | None = None
    """Of a failed step, for the exit code."""


def passed(message: str, hint: str = "") -> Outcome:
    """Return the outcome of a step that passed; its hint is about a later failure."""
    return Outcome(State.PASSED, message, hint)


def skipped(message: str, hint: str = "") -> Outcome:
    """Return the outcome of a step that does not apply, or whose result cannot be determined."""
    return Outcome(State.SKIPPED, message, hint)


def failed(failure: Failure, hint: str = "") -> Outcome:
    """Return the outcome of a step that failed; `hint` is for a failure without its own advice."""
    return Outcome(State.FAILED, failure.what, advise(failure.kind, failure.doing).hint or hint, failure.reason)


@dataclass(frozen=True, slots=True)
class ScanResponse:
    """The response for a pending scan, or the failure, and the request with its connection."""

    target: Target
    observation: Observation
    request: RequestMade


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses of ThreadFix."""

    scans: tuple[ScanResponse, ...]
    """For each pending scan of the options; without any, a response for `UNUSED_ID`. Never empty."""
    application_id: int | None = None
    """None if the options have none, or if the look-up failed."""
    application: Application | Failure | None = None
    """None if it was not requested."""

    @property
    def main(self) -> ScanResponse:
        """The most informative response: the first reading, otherwise the first response."""
        return next((scan for scan in self.scans if isinstance(scan.observation, ScanReading)), self.scans[0])

    @property
    def failure(self) -> Failure | None:
        """The first failure if no pending scan could be read; otherwise None."""
        observation = self.main.observation
        return None if isinstance(observation, ScanReading) else observation

    @property
    def reason(self) -> Reason | None:
        """The reason of that failure."""
        return self.failure.reason if self.failure else None

    @property
    def key_accepted(self) -> bool:
        """Whether ThreadFix returned the application, or reported that it does not exist: both need a valid key."""
        return isinstance(self.application, Application) or self.application_missing

    @property
    def application_missing(self) -> bool:
        """Whether ThreadFix itself reported that the application does not exist; an HTTP 404 may be about the path."""
        return (
            isinstance(self.application, Failure)
            and self.application.reason is Reason.NOT_FOUND
            and self.application.kind is not FailureKind.NO_ENDPOINT
        )


class Examination:
    """The settings of the gate, and ThreadFix's responses to its requests.

    Args:
        settings: of the run.
        client: sends the requests.
        sanitizer: makes the texts of a certificate safe.
        requests: the list to which the client's `trace` appends every request.
    """

    def __init__(self, settings: Settings, client: Client, sanitizer: Sanitizer, requests: list[RequestMade]) -> None:
        """Keep the arguments; send nothing."""
        self.settings = settings
        self.client = client
        self.proxy = client.http.proxy
        self.sanitizer = sanitizer
        self.host = urlsplit(settings.server.url).hostname or ""
        self.secure = settings.server.url.startswith("https:")
        self.name = settings.application if isinstance(settings.application, ApplicationName) else None
        self.timeout = settings.plan.request_timeout
        self._requests = requests

    @cached_property
    def responses(self) -> Responses:
        """The responses for the pending scans, and for the application if ThreadFix may have looked for it.

        An application without an id is looked up first, because the other requests need the id.
        """
        settings, client, timeout = self.settings, self.client, self.timeout
        application = client.look_up(self.name, timeout) if self.name else None
        unsent = application if isinstance(application, Failure) and application.unsent else None
        application_id = application.id if isinstance(application, Application) else settings.application_id
        targets = [Target(application_id, number) for number in settings.pending_scan_ids] if application_id else []
        scans: list[ScanResponse] = []
        for target in targets or (Target(application_id or UNUSED_ID, UNUSED_ID),):
            observation = unsent or client.observe(target, timeout)
            scans.append(ScanResponse(target, observation, self._requests[-1]))
            if isinstance(observation, Failure) and observation.reason not in _FROM_THREADFIX:
                break
        responses = Responses(tuple(scans), application_id, application)
        if self.name or application_id is None or (responses.reason and responses.reason not in _FROM_THREADFIX):
            return responses
        return replace(responses, application=client.application(application_id, timeout))

    def evaluate(self, check: Check) -> CheckReading | Failure | None:
        """Evaluate a check by GET; return None if no application is known."""
        from gate.threadfix.policies import CheckReader

        application_id = self.responses.application_id
        return None if application_id is None else CheckReader(self.client.api, check, application_id)(self.timeout)


# --- The connection.


def _dns(run: Examination) -> Outcome:
    if run.proxy:
        return skipped(f"requests go through the proxy {run.proxy}, which does the DNS lookup.")
    with suppress(ValueError):
        ip_address(run.host)
        return passed(f"{run.host} is an IP address; no DNS lookup is needed.")
    records = run.client.http.probe(lambda _: socket.getaddrinfo(run.host, None, type=socket.SOCK_STREAM), run.timeout)
    if isinstance(records, Failure):
        return failed(records, DOCTOR["dns"])
    return passed(f"{run.host} resolves to {', '.join(dict.fromkeys(str(record[4][0]) for record in records))}.")


def _tcp(run: Examination) -> Outcome:
    if run.proxy:
        return skipped(f"the proxy {run.proxy} makes the connection.")
    failure, connection = run.responses.failure, run.responses.main.request.connection
    if failure and not connection.address:
        return failed(failure, DOCTOR["connection"])
    return passed(f"connected to {connection.address}, port {connection.port}, in {connection.milliseconds:.0f} ms.")


def _tls(run: Examination) -> Outcome:
    if not run.secure:
        return skipped(PLAIN_HTTP)
    if run.proxy:
        return skipped(f"goes through the proxy {run.proxy}; the request below shows whether it works.")
    failure, version = run.responses.failure, run.responses.main.request.connection.tls
    if failure and not version and failure.kind not in CERTIFICATES:
        return failed(failure, DOCTOR["connection"])
    return passed(f"{version or 'the server speaks TLS'}.")


def _certificate(run: Examination) -> Outcome:
    if not run.secure:
        return skipped(PLAIN_HTTP)
    store = f"trust store: {run.sanitizer.sanitize(run.client.http.tls.trust_store, 200)}"
    failure = run.responses.failure
    if not run.proxy and failure and failure.kind in CERTIFICATES:
        return failed(replace(failure, what=f"{failure.what.rstrip('.')}; {store}."))
    if run.settings.server.insecure:
        return skipped("not verified: verification is switched off.", DOCTOR["insecure"])
    if run.proxy:
        return skipped(f"not visible through the proxy; the request below shows whether it verifies; {store}.")
    issuer = run.responses.main.request.connection.certificate.get("issuer", ())
    fields = {name: value for ((name, value), *_) in issuer}
    named = fields.get("commonName") or fields.get("organizationName") or "an unnamed issuer"
    return passed(f"for {run.host}, issued by {run.sanitizer.sanitize(named, 80)}; {store}.")


def _expiry(run: Examination) -> Outcome:
    certificate = {} if run.proxy else run.responses.main.request.connection.certificate
    if not certificate:
        return skipped("no certificate was verified here.")
    import ssl

    expires = ssl.cert_time_to_seconds(certificate["notAfter"])
    days = int((expires - time.time()) // _DAY)
    hint = DOCTOR["expiry"] if days < EXPIRY_WARNING_DAYS else ""
    return passed(f"{count(days, 'day')} left, until {datetime.fromtimestamp(expires, timezone.utc):%Y-%m-%d}.", hint)


# --- The responses.


def _redirects(run: Examination) -> Outcome:
    failure, http_status = run.responses.failure, run.responses.main.request.http_status
    if http_status is None:
        return skipped(NO_RESPONSE)
    return failed(failure) if failure and http_status in REDIRECTS else passed("none.")


def _rest(run: Examination) -> Outcome:
    failure, request = run.responses.failure, run.responses.main.request
    if failure and failure.reason is Reason.UNREACHABLE:
        return failed(failure, DOCTOR["unavailable"])
    if failure and failure.reason is Reason.PROTOCOL:
        return failed(failure, DOCTOR["rest"])
    if failure and request.http_status in NOT_FOUND and not run.responses.key_accepted:
        return failed(failure, DOCTOR["path"])
    if failure and request.http_status in DENIED and not run.responses.key_accepted:
        return skipped(f"cannot be determined: HTTP {request.http_status} may come from any server or proxy.")
    return passed(f"HTTP {request.http_status} in {request.milliseconds:.0f} ms, in ThreadFix's format.")


def _key(run: Examination) -> Outcome:
    failure = run.responses.failure
    if failure and failure.reason is Reason.DENIED and not run.responses.key_accepted:
        return failed(failure, DOCTOR["key"])
    return passed("accepted.")


def _permission(run: Examination) -> Outcome:
    responses = run.responses
    if not responses.failure:
        return passed("Upload Scans: ThreadFix returned the pending scan.")
    if responses.reason is Reason.DENIED:
        return failed(responses.failure, DOCTOR["permission"])
    if responses.application_id is None and run.name:
        return skipped("Upload Scans: cannot be determined, because it is granted for an application.")
    if responses.application_id is None:
        return skipped(
            "Upload Scans is granted for an application, and none is specified.", DOCTOR["application-unset"]
        )
    no_endpoint = responses.main.request.http_status in NOT_FOUND
    if no_endpoint or not isinstance(responses.application, Application):
        return skipped(
            "Upload Scans: cannot be determined, because ThreadFix may not have looked for the pending scan.",
            DOCTOR["status-endpoint"] if no_endpoint else "",
        )
    return passed("Upload Scans: ThreadFix looked for the pending scan and did not refuse.")


def _application(run: Examination) -> Outcome:
    application_id, application = run.responses.application_id, run.responses.application
    if run.name:
        return _named_application(run, run.name)
    if application_id is None:
        return skipped("not specified.", DOCTOR["application-unset"])
    if isinstance(application, Application):
        return passed(f"{application_id} is '{application.name}'." if application.name else f"{application_id} exists.")
    if not run.responses.failure:
        return passed(f"{application_id} exists; ThreadFix returned its pending scan.")
    if application and run.responses.application_missing:
        return failed(application)
    why = f" ({application.what.rstrip('.')})" if application else ""
    return skipped(
        f"cannot be determined: ThreadFix did not return application {application_id}, which takes read access{why}."
    )


def _named_application(run: Examination, name: ApplicationName) -> Outcome:
    application = run.responses.application
    if isinstance(application, Failure):
        # Without the id nothing more can be requested, so a key without read access is not enough.
        return failed(application, DOCTOR["read-access" if application.reason is Reason.DENIED else "names"])
    return passed(f"{name} is {run.responses.application_id}.")


def _pending_scan(run: Examination) -> Outcome:
    if not run.settings.pending_scan_ids:
        return skipped("not specified.", DOCTOR["scan-unset"])
    statuses = []
    for scan in run.responses.scans:
        if isinstance(scan.observation, Failure):
            return failed(scan.observation, DOCTOR["pending-scan"])
        statuses.append(f"{scan.target.pending_scan_id} is {scan.observation.status}")
    return passed(f"{', '.join(statuses)}.")


def _criteria(run: Examination) -> Outcome:
    check = next((check for check in run.settings.checks if isinstance(check, PassCriteria)), None)
    if check is None:
        return skipped("not requested.")
    reading = run.evaluate(check)
    if reading is None:
        return skipped(NO_APPLICATION)
    if isinstance(reading, Failure):
        return failed(reading, DOCTOR["unavailable"])
    number = len(reading.results)
    hint = "" if number else f"The gate ends as policy-unknown: {NO_CRITERIA[0]} {NO_CRITERIA[1]}"
    return passed(f"Manage CI/CD: ThreadFix evaluated {number} criteri{'on' if number == 1 else 'a'}.", hint)


def _policies(run: Examination) -> Outcome:
    checks = [check for check in run.settings.checks if not isinstance(check, PassCriteria)]
    if not checks:
        return skipped("not requested.")
    # Only the list: from 2.8.5 on a policy is evaluated by POST, and the doctor changes nothing.
    reading = run.evaluate(AllPolicies())
    if reading is None:
        return skipped(NO_APPLICATION)
    if isinstance(reading, Failure):
        if reading.reason is Reason.DENIED or AllPolicies() in checks:
            return failed(reading, DOCTOR["unavailable"])
        return skipped(f"cannot be determined: ThreadFix did not list the policies ({reading.what.rstrip('.')}).")
    number = len(reading.results)
    attached = f"{number} polic{'y is' if number == 1 else 'ies are'} attached to the application"
    hint = ""
    if AllPolicies() in checks and not number:
        hint = f"The gate ends as policy-unknown: {NO_POLICIES[0]} {NO_POLICIES[1]}"
    return passed(f"read access: ThreadFix listed the policies; {attached}.", hint)


def _clock(run: Examination) -> Outcome:
    if run.responses.main.request.http_status is None:
        return skipped(NO_RESPONSE)
    clocks = (scan.request.clock_ahead for scan in run.responses.scans)
    ahead = next((clock for clock in clocks if clock is not None), None)
    if ahead is None:
        return skipped("cannot be determined: the response has no valid Date header.")
    if abs(ahead) > MAX_CLOCK_SKEW:
        message = f"ThreadFix's clock is {seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
        return Outcome(State.FAILED, message, DOCTOR["clock"], Reason.UNREACHABLE)
    return passed(f"ThreadFix's clock and this machine's differ by {round(abs(ahead))}s.")


# --- The table.


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name in the log and in the JSON, the steps that must not have failed, and its function."""

    name: str
    needs: tuple[str, ...]
    check: Callable[[Examination], Outcome]


OPTION_STEPS: Final = ("url", "options")
"""Checked before anything is sent."""

STEPS: Final = (
    Step("dns", OPTION_STEPS, _dns),
    Step("tcp", ("dns",), _tcp),
    Step("tls", ("tcp",), _tls),
    Step("certificate", ("tls",), _certificate),
    Step("expiry", ("certificate",), _expiry),
    Step("redirects", ("certificate",), _redirects),
    Step("rest", ("redirects",), _rest),
    Step("key", ("rest",), _key),
    Step("permission", ("key",), _permission),
    Step("application", ("key",), _application),
    Step("pending-scan", ("permission", "application"), _pending_scan),
    Step("criteria", ("application",), _criteria),
    Step("policies", ("application",), _policies),
    Step("clock", ("certificate",), _clock),
)
"""The steps that need the network, in their order."""


# --- The command.

MARKS: Final = {
    State.PASSED: ("✓", LineKind.CHECK_PASSED),
    State.FAILED: ("✗", LineKind.CHECK_FAILED),
    State.SKIPPED: ("–", LineKind.PLAIN),
}
PLAIN: Final = str.maketrans({"✓": "+", "✗": "x", "–": "-", "→": ">"})
"""For a log in an encoding without them, as on Windows."""


def run_doctor(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    signals: Signals,
    invalid: Sequence[InvalidOption] = (),
) -> int:
    """Check every step; return the exit code of the first step that fails, or 0.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        signals: the signal that stops the process.
        invalid: the invalid options of the command line itself.
    """
    return _DoctorRun(env, signals).run(flags, invalid)


class _DoctorRun:
    """The outcomes so far, and their log."""

    def __init__(self, env: Mapping[str, str], signals: Signals) -> None:
        self._signals = signals
        self._context = CommandContext(env, signals)
        self._outcomes: dict[str, Outcome] = {}
        self._blocked: set[str] = set()

    def run(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> int:
        """Check every step, write the JSON and the last line, and return the exit code."""
        ended_by: tuple[Reason, int] | None = None
        try:
            self._check(flags, invalid)
        except GateError as error:
            ended_by = (error.reason, error.exit_code)
            self._context.write_line(f"{error}.")
        except BaseException as error:  # noqa: BLE001 - no error may show the key
            ended_by = (Reason.INTERNAL, Reason.INTERNAL.row.exit_code)
            self._context.explain(error)
        for name in (*OPTION_STEPS, *(step.name for step in STEPS)):
            self._outcomes.setdefault(name, skipped("skipped, because the run ended before."))
        failure = next((one.reason for one in self._outcomes.values() if one.state is State.FAILED), None)
        reason, exit_code = ended_by or (failure, failure.row.exit_code if failure else 0)
        self._signals.exit_code = exit_code
        if self._context.parsed.reports.requested.get("json"):
            try:
                print_whole(f"{json.dumps(self._document(reason, exit_code), indent=2)}\n")
            except OSError as error:
                self._context.write_line(
                    f"warning: --json could not be written ({error.strerror}). The checks still count."
                )
        states = [outcome.state for outcome in self._outcomes.values()]
        summary = ", ".join(f"{states.count(state)} {state}" for state in State)
        self._context.write_line(
            f"NOT OK ({reason}, exit code {exit_code}): {summary}." if reason else f"OK: {summary}."
        )
        self._context.log.close()
        return exit_code

    def _check(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> None:
        context = self._context
        settings: Settings | None = None
        wrong: tuple[InvalidOption, ...] = ()
        try:
            settings = context.parse(flags, invalid, needs_scan=False)
        except UsageError as error:
            wrong = error.invalid
        context.console.line(f"threadfix-gate {__version__}: checking the connection to ThreadFix (read-only)")
        url, hint = context.parsed.origin, ""
        if settings:
            url = settings.server.url
            if not urlsplit(url).path:
                hint = DOCTOR["context-path"]
            if settings.server.allow_http and url.startswith("http:"):
                hint = DOCTOR["http"]
        flaws = [option.text for option in wrong if option.option == URL.label]
        self._record("url", _invalid(flaws) or passed(url, hint))
        flaws = [option.text for option in wrong if option.option != URL.label]
        self._record("options", _invalid(flaws) or passed("complete and consistent."))
        if settings is None:
            return
        requests: list[RequestMade] = []

        def trace(request: RequestMade) -> None:
            requests.append(request)
            context.console.requested(request)

        client = Client(settings.server, context.sanitizer, trace=trace)
        examination = Examination(settings, client, context.sanitizer, requests)
        with closing(client.http):
            for step in STEPS:
                outcome = self._blocker(step) or self._signals.call(partial(step.check, examination))
                self._record(step.name, outcome)

    def _blocker(self, step: Step) -> Outcome | None:
        """Return the outcome of a step that needs a failed or blocked step; None for any other step."""
        for name in step.needs:
            if name in self._blocked:
                self._blocked.add(step.name)
                return self._outcomes[name]
            if self._outcomes[name].state is State.FAILED:
                self._blocked.add(step.name)
                return skipped(f"skipped, because {name} failed.")
        return None

    def _record(self, name: str, outcome: Outcome) -> None:
        outcome = replace(outcome, hint=self._context.naming.fill(outcome.hint))
        self._outcomes[name] = outcome
        always = outcome.state is State.FAILED
        (mark, kind), arrow = MARKS[outcome.state], "→"
        if not _can_show(mark + arrow):
            mark, arrow = mark.translate(PLAIN), arrow.translate(PLAIN)
        line = self._context.console.line
        line(f"{mark} {name:<12}  {outcome.message}", kind, indent=16, always=always)
        if outcome.hint:
            line(f"{'':<14}  {arrow} {outcome.hint}", indent=18, always=always)

    def _document(self, reason: Reason | None, exit_code: int) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "gate_version": __version__,
            "ok": reason is None,
            "reason": reason,
            "exit_code": exit_code,
            "server": self._context.parsed.origin or None,
            "checks": [
                {
                    "name": name,
                    "state": outcome.state,
                    "message": outcome.message,
                    "hint": outcome.hint or None,
                    "reason": outcome.reason,
                }
                for name, outcome in self._outcomes.items()
            ],
            "started_at": timestamp(self._context.started_at),
            "finished_at": timestamp(datetime.now(timezone.utc)),
        }


def _invalid(sentences: Iterable[str]) -> Outcome | None:
    """Return the outcome of invalid options; None without any."""
    message = " ".join(sentences)
    return Outcome(State.FAILED, message, DOCTOR["options"], Reason.USAGE) if message else None


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return True
