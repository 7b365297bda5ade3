"""The table of the doctor's checks: what each step of the connection, and each response, means. No I/O of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from gate.judge.checks import NO_CRITERIA, NO_POLICIES
from gate.model.history import Application, Failure
from gate.model.reasons import Reason, Word
from gate.model.subjects import AllPolicies, PassCriteria
from gate.text.wording import count, seconds
from gate.threadfix.api import DENIED, NOT_FOUND, REDIRECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.doctor.probe import Connection, Responses
    from gate.text.sanitizer import Sanitizer

EXPIRY_WARNING_DAYS: Final = 14
"""A certificate with fewer days left should be renewed now."""
MAX_CLOCK_SKEW: Final = 300.0
"""Seconds that two clocks may differ; as much as Kerberos allows."""
_DAY: Final = 24 * 3600

PLAIN_HTTP: Final = "not used: the URL is plain http."
NO_RESPONSE: Final = "no response."
NETWORK_HINT: Final = (
    "Check whether a firewall blocks the connection, and whether this machine needs a proxy (HTTPS_PROXY)."
)
READ_ACCESS_HINT: Final = (
    "Give the key's user read access to the application, with any role, or set {--application-id} instead of its names."
)
NAMES_HINT: Final = "Check {--team-name}, and the application's name or unique id, against ThreadFix."
NO_APPLICATION: Final = "cannot be determined: no application is specified."
SERVER_ERROR_HINT: Final = "ThreadFix, or a proxy in front of it, is failing or overloaded; try again later."


class State(Word):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check. Its texts are safe: no secret, no control character, no workflow command.

    Attributes:
        state: passed, failed, or skipped: cannot be determined, or does not apply.
        message: what was seen; a sentence that follows the check's name.
        hint: what to do; empty if there is nothing to do. A template of ours (`gate.text.naming`), without text of
            others. Also of a check that passed, if something will fail soon.
        reason: of a failed one, for the exit code; None of any other.
    """

    state: State
    message: str
    hint: str = ""
    reason: Reason | None = None


def passed(message: str, hint: str = "") -> Outcome:
    """The outcome of a check that passed."""
    return Outcome(State.PASSED, message, hint)


def skipped(message: str, hint: str = "") -> Outcome:
    """The outcome of a check that does not apply, or whose result cannot be determined."""
    return Outcome(State.SKIPPED, message, hint)


def failed(failure: Failure, hint: str = "") -> Outcome:
    """The outcome of a check that failed; `hint` is for a failure that has none of its own."""
    return Outcome(State.FAILED, failure.what, failure.hint or hint, failure.reason)


# --- The connection.


def _dns(connection: Connection, _: Sanitizer) -> Outcome:
    if connection.proxy:
        return skipped(f"requests go through the proxy {connection.proxy}, which does the DNS lookup.")
    if connection.host_is_address:
        return passed(f"{connection.host} is an IP address; no DNS lookup is needed.")
    addresses = connection.look_up()
    if isinstance(addresses, Failure):
        return failed(addresses, "Check whether this machine's DNS server responds.")
    return passed(f"{connection.host} resolves to {', '.join(addresses)}.")


def _tcp(connection: Connection, _: Sanitizer) -> Outcome:
    if connection.proxy:
        return skipped(f"the proxy {connection.proxy} makes the connection.")
    tcp = connection.connect()
    if isinstance(tcp, Failure):
        return failed(tcp, NETWORK_HINT)
    return passed(f"connected to {tcp.address}, port {tcp.port}, in {tcp.milliseconds:.0f} ms.")


def _tls(connection: Connection, _: Sanitizer) -> Outcome:
    if not connection.secure:
        return skipped(PLAIN_HTTP)
    if connection.tcp is None:
        return skipped(f"goes through the proxy {connection.proxy}; the request below shows whether it works.")
    handshake = connection.start_tls(connection.tcp)
    if isinstance(handshake, Failure):
        return failed(handshake, NETWORK_HINT)
    return passed(f"{handshake.version or 'the server speaks TLS'}.")


def _certificate(connection: Connection, sanitizer: Sanitizer) -> Outcome:
    if not connection.secure:
        return skipped(PLAIN_HTTP)
    handshake, store = connection.handshake, f"trust store: {sanitizer.sanitize(connection.trust_store, 200)}"
    if handshake and handshake.distrust:
        return failed(replace(handshake.distrust, what=f"{handshake.distrust.what.rstrip('.')}; {store}."))
    if connection.server.insecure:
        return skipped(
            "not verified: verification is switched off.",
            "The API key may be sent to an impostor; set {--ca-file} to your company's CA certificates instead.",
        )
    if not handshake:
        return skipped(f"not visible through the proxy; the request below shows whether it verifies; {store}.")
    fields = {name: value for ((name, value), *_) in handshake.certificate.get("issuer", ())}
    issuer = sanitizer.sanitize(fields.get("commonName") or fields.get("organizationName") or "an unnamed issuer", 80)
    return passed(f"for {connection.host}, issued by {issuer}; {store}.")


def _expiry(connection: Connection, _: Sanitizer) -> Outcome:
    import ssl

    if not connection.handshake or not connection.handshake.certificate:
        return skipped("no certificate was verified here.")
    expires = ssl.cert_time_to_seconds(connection.handshake.certificate["notAfter"])
    days = int((expires - time.time()) // _DAY)
    soon = days < EXPIRY_WARNING_DAYS
    hint = "Have the certificate renewed: once it has expired, no gate can connect." if soon else ""
    return passed(f"{count(days, 'day')} left, until {datetime.fromtimestamp(expires, timezone.utc):%Y-%m-%d}.", hint)


# --- The responses.


def _redirects(responses: Responses) -> Outcome:
    http_status = responses.main.request.http_status
    if http_status is None:
        return skipped(NO_RESPONSE)
    if responses.failure and http_status in REDIRECTS:
        return failed(responses.failure)
    return passed("none.")


def _rest(responses: Responses) -> Outcome:
    failure, request = responses.failure, responses.main.request
    if failure and failure.reason is Reason.UNREACHABLE:
        return failed(failure, SERVER_ERROR_HINT)
    if failure and failure.reason is Reason.PROTOCOL:
        return failed(failure, "Check what serves this address: it is not ThreadFix's REST API.")
    if failure and request.http_status in NOT_FOUND and not responses.key_accepted_for_application:
        return failed(
            failure,
            "Check that {--url} includes its context path, such as /threadfix, and that {--api-version} (and "
            "{--status-path}) match your ThreadFix; {--api-version none} is for 2.5 to 2.7.",
        )
    if failure and request.http_status in DENIED and not responses.key_accepted_for_application:
        return skipped(f"cannot be determined: HTTP {request.http_status} may come from any server or proxy.")
    return passed(f"HTTP {request.http_status} in {request.milliseconds:.0f} ms, in ThreadFix's format.")


def _key(responses: Responses) -> Outcome:
    if responses.failure and responses.reason is Reason.DENIED and not responses.key_accepted_for_application:
        return failed(
            responses.failure,
            "Check that the secret is set and current, that the key belongs to this ThreadFix, and that its user may "
            "access the application.",
        )
    return passed("accepted.")


def _permission(responses: Responses) -> Outcome:
    if not responses.failure:
        return passed("Upload Scans: ThreadFix returned the pending scan.")
    if responses.reason is Reason.DENIED:
        return failed(
            responses.failure,
            "Give the key's user a role with the Upload Scans permission for this application: ThreadFix requires it "
            "for the status of a pending scan; read access is not enough.",
        )
    if responses.application_id is None and responses.application_name:
        return skipped("Upload Scans: cannot be determined, because it is granted for an application.")
    if responses.application_id is None:
        return skipped("Upload Scans is granted for an application, and none is specified.", "Set {--application-id}.")
    no_endpoint = responses.main.request.http_status in NOT_FOUND
    if no_endpoint or not isinstance(responses.application, Application):
        return skipped(
            "Upload Scans: cannot be determined, because ThreadFix may not have looked for the pending scan.",
            "This ThreadFix may lack the status endpoint, which exists from 2.5 on; without it no gate can work. "
            "Check {--api-version} and {--status-path}."
            if no_endpoint
            else "",
        )
    return passed("Upload Scans: ThreadFix looked for the pending scan and did not refuse.")


def _application(responses: Responses) -> Outcome:
    application_id, application = responses.application_id, responses.application
    if responses.application_name:
        return _named_application(responses)
    if application_id is None:
        return skipped("not specified.", "Set {--application-id}.")
    if isinstance(application, Application):
        return passed(f"{application_id} is '{application.name}'." if application.name else f"{application_id} exists.")
    if not responses.failure:
        return passed(f"{application_id} exists; ThreadFix returned its pending scan.")
    if application and responses.application_missing:
        return failed(application, "Check {--application-id} against the URL of the application's page in ThreadFix.")
    why = f" ({application.what.rstrip('.')})" if application else ""
    return skipped(
        f"cannot be determined: ThreadFix did not return application {application_id}, which takes read access{why}."
    )


def _named_application(responses: Responses) -> Outcome:
    application = responses.application
    if isinstance(application, Failure):
        # Without its id nothing else can be done, so a key that may not read it is no key for its names.
        return failed(application, READ_ACCESS_HINT if application.reason is Reason.DENIED else NAMES_HINT)
    return passed(f"{responses.application_name} is {responses.application_id}.")


def _pending_scan(responses: Responses) -> Outcome:
    if not responses.scan_specified:
        return skipped("not specified.", "Set {--pending-scan-id} or {--upload-response}.")
    statuses = []
    for scan in responses.scans:
        if isinstance(scan.observation, Failure):
            return failed(
                scan.observation,
                "Check {--pending-scan-id} against the link in the upload's response: it is not the id of a finished "
                "scan.",
            )
        statuses.append(f"{scan.target.pending_scan_id} is {scan.observation.status}")
    return passed(f"{', '.join(statuses)}.")


def _criteria(connection: Connection, _: Sanitizer) -> Outcome:
    check = next((check for check in connection.checks if isinstance(check, PassCriteria)), None)
    if check is None:
        return skipped("not requested.")
    reading = connection.evaluate(check)
    if reading is None:
        return skipped(NO_APPLICATION)
    if isinstance(reading, Failure):
        return failed(reading, SERVER_ERROR_HINT)
    number = len(reading.results)
    hint = "" if number else f"The gate ends as policy-unknown: {NO_CRITERIA[0]} {NO_CRITERIA[1]}"
    return passed(f"Manage CI/CD: ThreadFix evaluated {number} criteri{'on' if number == 1 else 'a'}.", hint)


def _policies(connection: Connection, _: Sanitizer) -> Outcome:
    checks = [check for check in connection.checks if not isinstance(check, PassCriteria)]
    if not checks:
        return skipped("not requested.")
    # By its list alone: from 2.8.5 on a policy is evaluated by POST, and nothing is to be changed here.
    reading = connection.evaluate(AllPolicies())
    if reading is None:
        return skipped(NO_APPLICATION)
    if isinstance(reading, Failure):
        if reading.reason is Reason.DENIED or AllPolicies() in checks:
            return failed(reading, SERVER_ERROR_HINT)
        return skipped(f"cannot be determined: ThreadFix did not list the policies ({reading.what.rstrip('.')}).")
    number = len(reading.results)
    attached = f"{number} polic{'y is' if number == 1 else 'ies are'} attached to the application"
    hint = ""
    if AllPolicies() in checks and not number:
        hint = f"The gate ends as policy-unknown: {NO_POLICIES[0]} {NO_POLICIES[1]}"
    return passed(f"read access: ThreadFix listed the policies; {attached}.", hint)


def _clock(responses: Responses) -> Outcome:
    if responses.main.request.http_status is None:
        return skipped(NO_RESPONSE)
    clocks = (scan.request.clock_ahead for scan in responses.scans)
    ahead = next((clock for clock in clocks if clock is not None), None)
    if ahead is None:
        return skipped("cannot be determined: the response has no valid Date header.")
    if abs(ahead) > MAX_CLOCK_SKEW:
        what = f"ThreadFix's clock is {seconds(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
        hint = "Correct the clock that is wrong; certificates are checked against this machine's."
        return failed(Failure(Reason.UNREACHABLE, what), hint)
    return passed(f"ThreadFix's clock and this machine's differ by {round(abs(ahead))}s.")


# --- The table.


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: in the log and in the JSON.
        needs: names of the checks without which this one makes no sense.
        run: makes the check; the sanitizer is for texts that come from the network.
    """

    name: str
    needs: tuple[str, ...]
    run: Callable[[Connection, Sanitizer], Outcome]


def _read(judge: Callable[[Responses], Outcome]) -> Callable[[Connection, Sanitizer], Outcome]:
    return lambda connection, _: judge(connection.responses)


OPTION_CHECKS: Final = ("url", "options")
"""Names of the checks that are made before anything is sent."""

CHECKS: Final = (
    Check("dns", OPTION_CHECKS, _dns),
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
    Check("criteria", ("application",), _criteria),
    Check("policies", ("application",), _policies),
    Check("clock", ("certificate",), _read(_clock)),
)
"""Every check that needs the network, in the order in which they are made."""
