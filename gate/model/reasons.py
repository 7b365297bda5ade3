"""The table of reasons: the verdict, exit code, condition, meaning and advice of each, and the tree of errors.

One source for the verdict, the documentation's tables and the advice that a person reads.

GateError
├── UsageError         usage        options are missing, wrong or contradict each other
├── OutOfThreadsError  unreachable  the system starts no thread
└── Cancelled          cancelled    SIGINT or SIGTERM

A failed poll is not an error but a value, `gate.model.history.Failure`, for the wait to judge.
Every other exception is a bug and ends as `internal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Word(str, Enum):
    """A word for people and machines: `str` returns it, as for `enum.StrEnum`, which is not in Python 3.10."""

    __str__ = str.__str__


class Kind(Word):
    """The verdict, in one word."""

    PASS = "pass"  # noqa: S105 - the verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Reason(Word):
    """The reason of a verdict in one word; stable, for scripts."""

    PROCESSED = "processed"
    POLICY_PASSED = "policy-passed"
    ALREADY_IMPORTED = "already-imported"
    EMPTY_SCAN = "empty-scan"
    SCAN_FAILED = "scan-failed"
    SCAN_VANISHED = "scan-vanished"
    POLICY_FAILED = "policy-failed"
    UNKNOWN_STATUS = "unknown-status"
    UPLOAD_REFUSED = "upload-refused"
    USAGE = "usage"
    TIMEOUT = "timeout"
    DENIED = "denied"
    NOT_FOUND = "not-found"
    UNREACHABLE = "unreachable"
    PROTOCOL = "protocol"
    POLICY_UNKNOWN = "policy-unknown"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    @property
    def row(self) -> Row:
        """The row of the table."""
        return REASONS[self]


class Row(NamedTuple):
    """A row of the table. Its texts are Markdown."""

    exit_code: int
    condition: str  # the cause, for the table of exit codes; without a full stop
    meaning: str  # the consequence for the person at the red build, in sentences
    advice: str = "Nothing."  # the next step, in sentences; a template of `gate.text.wording`

    @property
    def kind(self) -> Kind:
        """The verdict: only a pass has the exit code 0, and only a fail 1."""
        return {0: Kind.PASS, 1: Kind.FAIL}.get(self.exit_code, Kind.UNKNOWN)


DIAGNOSABLE: Final = frozenset({Reason.DENIED, Reason.NOT_FOUND, Reason.UNREACHABLE, Reason.PROTOCOL})
"""Reasons that may be caused by the URL, key, permission or network, which `doctor` checks step by step."""
DIAGNOSIS: Final = "{@doctor} shows which step fails."  # the advice that is added to theirs
SIGNAL_EXIT_CODES: Final = (130, 143)
"""The exit codes of `cancelled`: 128 plus the number of the signal, SIGINT or SIGTERM."""

REASONS: Final[Mapping[Reason, Row]] = {
    Reason.PROCESSED: Row(
        0, "every scan was processed without an error; no rule was requested",
        "ThreadFix has processed the scan."),
    Reason.POLICY_PASSED: Row(
        0, "every requested policy and the pass criteria hold, and every scan was processed or accepted",
        "By the rules set up in ThreadFix this application may be released."),
    Reason.ALREADY_IMPORTED: Row(
        0, "ThreadFix already has a scan of this scanner with this date, with `--accept duplicate`",
        "ThreadFix imported nothing: it already has a scan of this scanner with this date."),
    Reason.EMPTY_SCAN: Row(
        0, "the file has no results, with `--accept empty`",
        "ThreadFix imported nothing: the file has no results."),
    Reason.SCAN_FAILED: Row(
        1, "a failure status, or `error: true` with any status",
        "ThreadFix could not process the scan, or the scan was deleted. Its findings are not in ThreadFix.",
        "Read ThreadFix's message in the verdict, check the application's scans in ThreadFix, and upload the scan "
        "again."),
    Reason.SCAN_VANISHED: Row(
        1, 'ThreadFix returned the pending scan at first, then "not found" until `--outage-limit`',
        "The pending scan was removed while it was being processed.",
        "Upload the scan again; if it happens again, ask your ThreadFix administrator what deletes scans."),
    Reason.POLICY_FAILED: Row(
        1, "ThreadFix reports that a pass criterion or a policy fails",
        "By the rules set up in ThreadFix this application may not be released.",
        "Fix the vulnerabilities named here, or ask the owner of the rule in ThreadFix to decide; then upload "
        "a new scan."),
    Reason.UNKNOWN_STATUS: Row(
        1, "a status that is not documented, with `--on-unknown-status fail`",
        "Your ThreadFix uses a status that this gate does not know.",
        "Add the status to `{--success-statuses}` or `{--failure-statuses}`, or let the gate wait for the next one "
        "with `{--on-unknown-status wait}`."),
    Reason.UPLOAD_REFUSED: Row(
        1, "ThreadFix accepted the request but refused the file",
        "ThreadFix did not import the file. Its findings are not in ThreadFix.",
        "Read ThreadFix's message in the verdict, and check the file and the scanner that made it."),
    Reason.USAGE: Row(
        2, "options are missing, invalid or contradict each other",
        "The options are incomplete or invalid, so nothing was sent to ThreadFix.",
        "Correct the {@options} named here; {@help}."),
    Reason.TIMEOUT: Row(
        3, "the scan was not finished at the deadline, or another node of ThreadFix does not know an uploaded scan yet",
        "ThreadFix is still processing the scan. It continues there; only the gate has stopped waiting.",
        "Allow more time with `{--timeout}`."),
    Reason.DENIED: Row(
        4, "401, 403, or a response that mentions the API key or a permission",
        "ThreadFix does not accept the API key, or the key's user may not access this application.",
        "Check that the secret is set and current, and that the key's user has the *Upload Scans* permission for the "
        "application: ThreadFix requires it for uploads and for the status of a pending scan; read access "
        "is not enough."),
    Reason.NOT_FOUND: Row(
        5, "404, 410 or another `success: false`, for 8 seconds or until `--first-contact-limit`",
        "ThreadFix does not know this pending scan for this application.",
        "Check both ids against the link in the upload's response, that `{--url}` includes its context path, and that "
        "`{--api-version}` matches your ThreadFix."),
    Reason.UNREACHABLE: Row(
        6, "no connection, a TLS failure, no response in time, 408, 425, 429 or 5xx, until the limit; a proxy's 407",
        "ThreadFix could not be reached, so the gate has no result.",
        "Check `{--url}`, and whether this machine can reach it (DNS, firewall, proxy, certificates); then run the "
        "gate again."),
    Reason.PROTOCOL: Row(
        7,
        "a response that is not ThreadFix's: a redirect, a web page, invalid JSON, another application's id, other 4xx",
        "There was a response, but not from ThreadFix's REST API. Often it is from a login page or a proxy.",
        "Check that `{--url}` includes its context path, such as `/threadfix`, and that nothing in between requires a "
        "login."),
    Reason.POLICY_UNKNOWN: Row(
        8, "a check could not be evaluated, evaluated nothing, or was older than the scan until `--settle-timeout`",
        "ThreadFix did not report whether this application may be released.",
        "Check in ThreadFix that the policy or the pass criteria exist, and that the application is attached to them; "
        "allow more time with `{--settle-timeout}`."),
    Reason.CANCELLED: Row(
        SIGNAL_EXIT_CODES[0], "SIGINT (130) or SIGTERM (143)",
        "The job was stopped. The scan continues in ThreadFix; only the gate has stopped waiting.",
        "Nothing, if the job was stopped on purpose."),
    Reason.INTERNAL: Row(
        70, "a bug in the gate",
        "The gate had an internal error, so it has no result for the scan.",
        "Please report it with the traceback in the log; the API key is not in it."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class InvalidOption:
    """An option that is missing, wrong or contradicts another option. Meaning and advice default to the usual texts."""

    option: str | None  # its label, such as `--timeout`, or `THREADFIX_API_KEY` for the key; None without an option
    text: str  # the flaw and an example, in a sentence that names the option; safe once it is in `Parsed`
    meaning: str | None = None  # the consequence for the person at the red build
    advice: str | None = None  # the next step, a template of `gate.text.wording`

    def __str__(self) -> str:
        return self.text


class GateError(Exception):
    """An error that ends the gate before any response. Without hint and meaning, those of the reason apply."""

    reason: ClassVar[Reason]
    hint: str | None = None
    meaning: str | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the process."""
        return self.reason.row.exit_code


class UsageError(GateError):
    """Options are missing, wrong or contradict each other."""

    reason = Reason.USAGE

    def __init__(self, invalid: Sequence[InvalidOption]) -> None:
        """Take the advice and the meaning of the invalid options if all have the same."""
        self.invalid = tuple(invalid)
        hints, meanings = {option.advice for option in invalid}, {option.meaning for option in invalid}
        self.hint = hints.pop() if len(hints) == 1 else None
        self.meaning = meanings.pop() if len(meanings) == 1 else None
        super().__init__(" ".join(map(str, invalid)))


class OutOfThreadsError(GateError):
    """The system starts no thread."""

    reason = Reason.UNREACHABLE
    hint = (
        "Raise the limit on processes and threads for this user or container (ulimit -u, pids.max), or run fewer "
        "jobs at the same time; then run the gate again."
    )

    def __init__(self) -> None:
        super().__init__("this machine let the gate start no thread to ask ThreadFix in")


class Cancelled(GateError):  # noqa: N818 - the usual word, and not an error
    """The gate was stopped by a signal."""

    reason = Reason.CANCELLED
    meaning = "The job was stopped before the gate could determine anything about a scan."
    hint = "Run the gate again."

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(f"stopped by signal {signal_number}")

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in shells."""
        return 128 + self.signal_number
