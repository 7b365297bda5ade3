"""Says which step between this machine and the pending scan fails, and what to do about it. Changes nothing.

The checks are a table, `CHECKS`. The first ones make a connection step by step; the others are read from what ThreadFix
answered to the gate's own call and to one about the application.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from gate import __version__, signals
from gate.commands.context import CommandContext
from gate.errors import Cancelled, UsageError
from gate.history import Failure, ScanReading, Target
from gate.reasons import Reason
from gate.reporters.lines import LineKind
from gate.reporters.streams import print_whole
from gate.threadfix.client import DENIED, NOT_FOUND, REDIRECTS, Client
from gate.wording import count, seconds, timestamp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gate.history import Observation
    from gate.http import Exchange, RequestMade
    from gate.settings import Parsed, Settings
    from gate.signals import Signals
    from gate.text import Sanitizer

T = TypeVar("T")

SCHEMA_VERSION: Final = 1
UNUSED_ID: Final = 999_999_999
"""An id that no application and no pending scan has. Not the largest one there is: where ThreadFix keeps ids in 32
bits, that would be no number to it."""
EXPIRY_WARNING_DAYS: Final = 14
"""Days before its end from which on a certificate should have been renewed."""
MAX_CLOCK_SKEW: Final = 300.0
"""Seconds that two clocks may differ; as much as Kerberos allows."""
DAY: Final = 24 * 3600

PLAIN_HTTP: Final = "there is none: this is plain http."
PATH_HINT: Final = (
    "Check that --url has its context path, such as /threadfix, and that --api-version (and --status-path) fit your "
    "ThreadFix; --api-version none is for 2.5 to 2.7."
)
NO_CALL_HINT: Final = (
    "Perhaps this ThreadFix has no such call, and then no gate can ask it: check --api-version and --status-path. The "
    "call is there from 2.5 on."
)
NETWORK_HINT: Final = "See whether a firewall is in the way, and whether this machine needs a proxy (HTTPS_PROXY)."
SERVER_ERROR_HINT: Final = (
    "ThreadFix, or what stands in front of it, is not well or has too much to do; try again later."
)
OTHER_HINT: Final = "See what answers at this address: it is not ThreadFix's REST API."
KEY_HINT: Final = (
    "Check that the secret is set and current, that it is a key of this ThreadFix, and that the key's user may see the "
    "application."
)
PERMISSION_HINT: Final = (
    "Give the key's user a role with the Upload Scans permission for this application: ThreadFix asks for it here, "
    "read access is not enough."
)
APPLICATION_HINT: Final = "Check --application-id against the address of the application's page in ThreadFix."
SCAN_HINT: Final = (
    "Check --pending-scan-id against the link that the upload answered with: it is not the number of a finished scan."
)
CLOCK_HINT: Final = "Set the clock that is wrong; certificates are judged by this machine's."


class State(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


MARKS: Final = {State.PASSED: "✓", State.FAILED: "✗", State.SKIPPED: "–"}
LINE_KINDS: Final = {
    State.PASSED: LineKind.CHECK_PASSED,
    State.FAILED: LineKind.CHECK_FAILED,
    State.SKIPPED: LineKind.PLAIN,
}
ARROW: Final = "→"
PLAIN: Final = str.maketrans({"✓": "+", "✗": "x", "–": "-", "→": ">"})
"""For a log whose encoding has none of them, as on Windows."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check. Its texts are safe.

    Attributes:
        hint: what to do; also of a check that passed, where something will soon fail.
        reason: of a failed one; gives the exit code.
    """

    state: State
    message: str
    hint: str = ""
    reason: Reason | None = None


def passed(message: str, hint: str = "") -> Outcome:
    """It is as it should be."""
    return Outcome(State.PASSED, message, hint)


def skipped(message: str, hint: str = "") -> Outcome:
    """It could not be told, or does not apply."""
    return Outcome(State.SKIPPED, message, hint)


def failed(failure: Failure, hint: str = "") -> Outcome:
    """It is not; `hint` is for a trouble that has none of its own."""
    return Outcome(State.FAILED, failure.what, failure.hint or hint, failure.reason)


# --- On the way to ThreadFix.


@dataclass(frozen=True, slots=True)
class ScanResponse:
    """What was heard of one pending scan, and the request for it."""

    target: Target
    observation: Observation
    request: RequestMade


@dataclass(frozen=True, slots=True)
class Responses:
    """What ThreadFix answered.

    Attributes:
        heard: of each pending scan; of one that nobody has, where none was named.
        application_id: of the application that was named.
        application: its name or what came instead; None where it was not asked for.
        application_status: HTTP status of that answer.
        named: whether a pending scan was named.
    """

    heard: tuple[ScanResponse, ...]
    application_id: int | None = None
    application: str | Failure | None = None
    application_status: int | None = None
    named: bool = True

    @property
    def main(self) -> ScanResponse:
        """What tells most: a good answer, else the first one."""
        return next((one for one in self.heard if isinstance(one.observation, ScanReading)), self.heard[0])

    @property
    def failure(self) -> Failure | None:
        """What came instead of any good answer."""
        found = self.main.observation
        return None if isinstance(found, ScanReading) else found

    @property
    def reason(self) -> Reason | None:
        """What that amounts to."""
        return self.failure.reason if self.failure else None

    @property
    def reads(self) -> bool:
        """Whether ThreadFix said anything about the application but “denied”: then it has accepted the key."""
        return isinstance(self.application, str) or self.no_application

    @property
    def no_application(self) -> bool:
        """Whether ThreadFix itself says that there is no such application; a 404 may be about the path."""
        found = self.application
        return (
            isinstance(found, Failure) and found.reason is Reason.NOT_FOUND and self.application_status not in NOT_FOUND
        )


_THREADFIX_SAYS: Final = (Reason.DENIED, Reason.NOT_FOUND)
"""Trouble that may be ThreadFix's own word; after any other there is no sense in asking on."""


class Connection:
    """The way to ThreadFix, as far as it has been gone."""

    def __init__(self, asked: Settings, client: Client, sanitizer: Sanitizer, requests: list[RequestMade]) -> None:
        """Nothing is sent yet; `requests` is where the client's are told."""
        self.asked = asked
        self.client = client
        self.sanitize = sanitizer.sanitize
        self.timeout = asked.plan.request_timeout
        self.connection: socket.socket | None = None
        self.certificate: dict[str, Any] = {}
        self.distrust: Failure | None = None
        self._requests = requests

    @property
    def host(self) -> str:
        """The host as it is looked up."""
        return urlsplit(self.asked.server.url).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether it is https."""
        return self.asked.server.url.startswith("https:")

    @property
    def port(self) -> int:
        """The port, also where the URL leaves it out."""
        return urlsplit(self.asked.server.url).port or (443 if self.secure else 80)

    def probe(self, work: Callable[[Exchange], T]) -> T | Failure:
        """Do something on the network, within the time of a request."""
        return self.client.http.probe(work, self.timeout)

    @cached_property
    def evidence(self) -> Responses:
        """Ask ThreadFix, once: about the pending scans, and about the application if it came to look for one."""
        number = self.asked.application_id
        heard: list[ScanResponse] = []
        for target in self.asked.targets or (Target(number or UNUSED_ID, UNUSED_ID),):
            seen = self.client.observe(target, self.timeout)
            heard.append(ScanResponse(target, seen, self._requests[-1]))
            if isinstance(seen, Failure) and seen.reason not in _THREADFIX_SAYS:
                break
        found = Responses(tuple(heard), number, named=bool(self.asked.targets))
        if number is None or (found.reason and found.reason not in _THREADFIX_SAYS):
            return found
        application = self.client.application(number, self.timeout)
        return Responses(found.heard, number, application, self._requests[-1].http_status, found.named)

    def close(self) -> None:
        """Close the connections."""
        if self.connection:
            self.connection.close()
        self.client.http.close()


def _dns(way: Connection) -> Outcome:
    if way.client.http.proxy:
        return skipped(f"requests go through the proxy {way.client.http.proxy}, which looks the name up.")
    try:
        return passed(f"{ip_address(way.host)} is an address; there is nothing to look up.")
    except ValueError:
        found = way.probe(lambda _: socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM))
    if isinstance(found, Failure):
        return failed(found, "See whether the name server of this machine answers.")
    addresses = dict.fromkeys(str(info[4][0]) for info in found)
    return passed(f"{way.host} is {', '.join(addresses)}.")


def _tcp(way: Connection) -> Outcome:
    if way.client.http.proxy:
        return skipped(f"the proxy {way.client.http.proxy} makes the connection.")

    def connect(exchange: Exchange) -> socket.socket:
        # Longer than the clock that runs over it all: that one has the better words.
        made = socket.create_connection((way.host, way.port), way.timeout * 2)
        exchange.track_socket(made)
        return made

    began = time.monotonic()
    made = way.probe(connect)
    if isinstance(made, Failure):
        return failed(made, NETWORK_HINT)
    way.connection = made
    address, port = made.getpeername()[:2]
    return passed(f"{address}, port {port}, took the connection in {(time.monotonic() - began) * 1000:.0f} ms.")


def _tls(way: Connection) -> Outcome:
    if not way.secure:
        return skipped(PLAIN_HTTP)
    connection = way.connection
    if connection is None:
        return skipped(f"through the proxy {way.client.http.proxy}; the request below shows whether it works.")

    def shake_hands(exchange: Exchange) -> ssl.SSLSocket:
        exchange.track_socket(connection)
        return way.client.http.tls_context().wrap_socket(connection, server_hostname=way.host.rstrip("."))

    made = way.probe(shake_hands)
    if isinstance(made, Failure) and made.final:
        # It speaks TLS; only its certificate is wrong.
        way.distrust = made
        return passed("it speaks TLS.")
    if isinstance(made, Failure):
        return failed(made, NETWORK_HINT)
    way.connection, way.certificate = made, made.getpeercert() or {}
    return passed(f"{made.version()}.")


def _certificate(way: Connection) -> Outcome:
    server = way.asked.server
    if not way.secure:
        return skipped(PLAIN_HTTP)
    if way.distrust:
        return failed(way.distrust)
    if server.insecure:
        return skipped(
            "not verified, because of --insecure.",
            "Somebody else may get the API key; name your company's certificates with --ca-file instead.",
        )
    if not way.certificate:
        return skipped("not seen, because of the proxy; the request below shows whether it verifies.")
    issuer = {name: value for ((name, value), *_) in way.certificate.get("issuer", ())}
    who = way.sanitize(issuer.get("commonName") or issuer.get("organizationName") or "somebody without a name", 80)
    store = way.sanitize(server.ca_file or "the default one, certifi's", 200)
    return passed(f"for {way.host}, issued by {who}; trust store: {store}.")


def _expiry(way: Connection) -> Outcome:
    import ssl

    if not way.certificate:
        return skipped("no certificate was verified here.")
    ends = ssl.cert_time_to_seconds(way.certificate["notAfter"])
    days = int((ends - time.time()) // DAY)
    hint = (
        "Have the certificate renewed: when it ends, no gate will get an answer." if days < EXPIRY_WARNING_DAYS else ""
    )
    return passed(f"{count(days, 'day')} left, until {datetime.fromtimestamp(ends, UTC):%Y-%m-%d}.", hint)


# --- What ThreadFix answers. Pure.


def _redirects(found: Responses) -> Outcome:
    code = found.main.request.http_status
    if code is None:
        return skipped("there was no answer.")
    if found.failure and code in REDIRECTS:
        return failed(found.failure)
    return passed("none.")


def _rest(found: Responses) -> Outcome:
    failure, request = found.failure, found.main.request
    if failure and failure.reason is Reason.UNREACHABLE:
        return failed(failure, SERVER_ERROR_HINT)
    if failure and failure.reason is Reason.PROTOCOL:
        return failed(failure, OTHER_HINT)
    if failure and request.http_status in NOT_FOUND and not found.reads:
        return failed(failure, PATH_HINT)
    if failure and request.http_status in DENIED and not found.reads:
        return skipped(f"HTTP {request.http_status} does not tell who has answered.")
    return passed(f"HTTP {request.http_status} in {request.milliseconds:.0f} ms, as ThreadFix answers.")


def _key(found: Responses) -> Outcome:
    if found.failure and found.reason is Reason.DENIED and not found.reads:
        return failed(found.failure, KEY_HINT)
    return passed("accepted.")


def _permission(found: Responses) -> Outcome:
    if not found.failure:
        return passed("Upload Scans: ThreadFix tells of the pending scan.")
    if found.reason is Reason.DENIED:
        return failed(found.failure, PERMISSION_HINT)
    if found.application_id is None:
        return skipped("Upload Scans is a permission for an application.", "Name one with --application-id.")
    if found.main.request.http_status in NOT_FOUND or not isinstance(found.application, str):
        hint = NO_CALL_HINT if found.main.request.http_status in NOT_FOUND else ""
        return skipped(
            "Upload Scans: cannot be told, because ThreadFix may not have looked for the pending scan.", hint
        )
    return passed("Upload Scans: ThreadFix looked for the pending scan, and did not refuse.")


def _application(found: Responses) -> Outcome:
    number, said = found.application_id, found.application
    if number is None:
        return skipped("none was named.", "Name one with --application-id.")
    if isinstance(said, str):
        return passed(f"{number} is “{said}”." if said else f"{number} is there.")
    if not found.failure:
        return passed(f"{number} is there; ThreadFix tells of its pending scan.")
    if said and found.no_application:
        return failed(said, APPLICATION_HINT)
    why = f" ({said.what.rstrip('.')})" if said else ""
    return skipped(f"cannot be told: ThreadFix does not tell of application {number}, which takes read access{why}.")


def _pending_scan(found: Responses) -> Outcome:
    if not found.named:
        return skipped("none was named.", "Name one with --pending-scan-id, --status-url or --upload-response.")
    told = []
    for one in found.heard:
        if isinstance(one.observation, Failure):
            return failed(one.observation, SCAN_HINT)
        told.append(f"{one.target.pending_scan_id} is {one.observation.status}")
    return passed(f"{', '.join(told)}.")


def _clock(found: Responses) -> Outcome:
    if found.main.request.http_status is None:
        return skipped("there was no answer.")
    ahead = next((one.request.clock_ahead for one in found.heard if one.request.clock_ahead is not None), None)
    if ahead is None:
        return skipped("the answer has no date.")
    if abs(ahead) > MAX_CLOCK_SKEW:
        what = f"ThreadFix's clock is {seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
        return failed(Failure(Reason.UNREACHABLE, what), CLOCK_HINT)
    return passed(f"{round(abs(ahead))}s apart.")


# --- The table.


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: in the log and in the JSON.
        needs: checks without which it makes no sense.
        look: makes the check.
    """

    name: str
    needs: tuple[str, ...]
    look: Callable[[Connection], Outcome]


def _read(judge: Callable[[Responses], Outcome]) -> Callable[[Connection], Outcome]:
    return lambda way: judge(way.evidence)


GIVEN: Final = ("url", "options")
"""What is checked before anything is sent."""

CHECKS: Final = (
    Check("dns", GIVEN, _dns),
    Check("tcp", ("dns",), _tcp),
    Check("tls", ("tcp",), _tls),
    Check("certificate", ("tls",), _certificate),
    Check("expiry", ("certificate",), _expiry),
    Check("redirects", ("certificate",), _read(_redirects)),
    Check("rest", ("redirects",), _read(_rest)),
    Check("key", ("rest",), _read(_key)),
    Check("permission", ("key",), _read(_permission)),
    Check("application", ("key",), _read(_application)),
    Check("pending-scan", ("permission", "application"), _read(_pending_scan)),
    Check("clock", ("certificate",), _read(_clock)),
)
"""Every check that needs the network, in the order in which they are made."""


def _given(parsed: Parsed, mistakes: Sequence[str]) -> tuple[Outcome, Outcome]:
    """Whether the URL and the other options are right."""
    about_url = [mistake for mistake in mistakes if re.match(r"--url(?![\w-])", mistake)]
    others = [mistake for mistake in mistakes if mistake not in about_url]
    url = parsed.settings.server.url if parsed.settings else parsed.origin
    hint = ""
    if parsed.settings and not urlsplit(url).path:
        hint = "ThreadFix usually has a context path, such as /threadfix; if yours has one, add it."
    if parsed.settings and parsed.settings.server.allow_http and url.startswith("http:"):
        hint = "--allow-http: the API key travels in clear; everybody on the way can read it."
    return _mistaken(about_url) or passed(f"{url}", hint), _mistaken(others) or passed(
        "all there, and they fit together."
    )


def _mistaken(mistakes: Iterable[str]) -> Outcome | None:
    told = " ".join(mistakes)
    return (
        Outcome(State.FAILED, told, "threadfix-gate doctor --help lists the options.", Reason.USAGE) if told else None
    )


# --- The command.


def run_doctor(flags: Mapping[str, Sequence[str]], env: Mapping[str, str], mistakes: Sequence[str] = ()) -> int:
    """Make every check; the exit code: that of the first one that fails, 0 when none does.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        mistakes: what is wrong with the command line itself, a sentence each.
    """
    with signals.handled() as handler:
        visit = _DoctorRun(env)
        code = 0
        try:
            visit.examine(flags, mistakes, handler)
            handler.decided()
        except Cancelled as error:
            visit.end, code = Reason.CANCELLED, error.exit_code
        return visit.conclude(code)


class _DoctorRun:
    """What was found so far, and where it is said."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.end: Reason | None = None
        self._context = CommandContext(env)
        self._started_at = datetime.now(UTC)
        self._concluded: dict[str, Outcome] = {}
        self._untried: set[str] = set()

    def examine(self, flags: Mapping[str, Sequence[str]], mistakes: Sequence[str], handler: Signals) -> None:
        """Make every check, whatever happens.

        Raises:
            Cancelled: the process was told to stop.
        """
        try:
            self._check(flags, mistakes, handler)
        except Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not show the key
            self.end = Reason.INTERNAL
            self._context.explain(error)

    def _check(self, flags: Mapping[str, Sequence[str]], mistakes: Sequence[str], handler: Signals) -> None:
        asked: Settings | None = None
        wrong: tuple[str, ...] = ()
        try:
            asked = self._context.parse(flags, mistakes, handler, needs_scan=False)
        except UsageError as error:
            wrong = error.mistakes
        self._context.console.line(
            f"threadfix-gate {__version__}: checking the way to ThreadFix; nothing is changed there."
        )
        for name, outcome in zip(GIVEN, _given(self._context.parsed, wrong), strict=True):
            self._note(name, outcome)
        if asked is None:
            return
        requests: list[RequestMade] = []

        def trace(made: RequestMade) -> None:
            requests.append(made)
            self._context.console.requested(made)

        client = Client(asked.server, self._context.sanitizer, trace=trace)
        with closing(Connection(asked, client, self._context.sanitizer, requests)) as way:
            for check in CHECKS:
                self._note(check.name, self._blocked(check) or check.look(way))

    def _blocked(self, check: Check) -> Outcome | None:
        """Why a check cannot be made: one that it needs has failed, or could not be made itself for that."""
        for name in check.needs:
            if name in self._untried or self._concluded[name].state is State.FAILED:
                self._untried.add(check.name)
                return self._concluded[name] if name in self._untried else skipped(f"not tried, because {name} failed.")
        return None

    def _note(self, name: str, outcome: Outcome) -> None:
        self._concluded[name] = outcome
        always = outcome.state is State.FAILED
        mark, arrow = MARKS[outcome.state], ARROW
        if not _can_show(mark + arrow):
            mark, arrow = mark.translate(PLAIN), arrow.translate(PLAIN)
        line = self._context.console.line
        line(f"{mark} {name:<12}  {outcome.message}", LINE_KINDS[outcome.state], indent=16, always=always)
        if outcome.hint:
            line(f"{'':<14}  {arrow} {outcome.hint}", indent=18, always=always)

    def conclude(self, code: int) -> int:
        """Write the JSON, and the last line; the exit code."""
        for name in (*GIVEN, *(check.name for check in CHECKS)):
            self._concluded.setdefault(name, skipped("not tried."))
        first = next((name for name, outcome in self._concluded.items() if outcome.state is State.FAILED), None)
        reason = self.end or (self._concluded[first].reason if first else None)
        code = code or (reason.row.exit_code if reason else 0)
        if self._context.parsed.reports.json:
            try:
                print_whole(f"{json.dumps(self._document(reason, code), indent=2)}\n")
            except OSError as error:
                self._context.say(f"warning: --json could not be written ({error.strerror}). The checks stand.")
        said = ", ".join(f"{sum(one.state is state for one in self._concluded.values())} {state}" for state in State)
        last = f"OK: {said}." if reason is None else f"NOT OK ({reason}, exit code {code}): {said}."
        self._context.console.line(last, LineKind.FAIL if reason else LineKind.PASS, always=True)
        self._context.log.close()
        return code

    def _document(self, reason: Reason | None, code: int) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "gate_version": __version__,
            "ok": reason is None,
            "reason": reason,
            "exit_code": code,
            "server": self._context.parsed.origin or None,
            "checks": [
                {
                    "name": name,
                    "state": outcome.state,
                    "message": outcome.message,
                    "hint": outcome.hint or None,
                    "reason": outcome.reason,
                }
                for name, outcome in self._concluded.items()
            ],
            "started_at": timestamp(self._started_at),
            "finished_at": timestamp(datetime.now(UTC)),
        }


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return True
