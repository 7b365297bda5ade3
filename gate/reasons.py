"""The table of reasons: which verdict and exit code each gives, when it happens, what it means and what to do.

One source for the verdict, the README's tables and the hints that a person reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """The word that the gate says."""

    PASS = "pass"  # noqa: S105 - the verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why the gate says it."""

    PROCESSED = "processed"
    SCAN_FAILED = "scan-failed"
    SCAN_VANISHED = "scan-vanished"
    UNKNOWN_STATUS = "unknown-status"
    USAGE = "usage"
    TIMEOUT = "timeout"
    DENIED = "denied"
    NOT_FOUND = "not-found"
    UNREACHABLE = "unreachable"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    @property
    def row(self) -> Row:
        """This reason's row of the table."""
        return REASONS[self]


@dataclass(frozen=True, slots=True)
class Row:
    """One reason.

    Attributes:
        kind: the verdict it belongs to.
        exit_code: of the process.
        condition: what happened, for the table of exit codes.
        meaning: what that means for the person at the red build.
        advice: what to do next; a template of `gate.naming`.
    """

    kind: Kind
    exit_code: int
    condition: str
    meaning: str
    advice: str


DIAGNOSABLE: Final = frozenset({Reason.DENIED, Reason.NOT_FOUND, Reason.UNREACHABLE, Reason.PROTOCOL})
"""Reasons that may be a matter of URL, key, permission or network, which `doctor` checks step by step."""
DIAGNOSIS: Final = "{@doctor} shows which step fails."
"""The advice that is added to theirs."""
SIGNAL_EXIT_CODES: Final = (130, 143)
"""Of `cancelled`: 128 plus the number of the signal, SIGINT or SIGTERM."""

REASONS: Final[Mapping[Reason, Row]] = {
    Reason.PROCESSED: Row(
        Kind.PASS,
        0,
        "every pending scan reached a success status, and ThreadFix reported no error with it",
        "ThreadFix has processed the scan.",
        "Nothing.",
    ),
    Reason.SCAN_FAILED: Row(
        Kind.FAIL,
        1,
        "a failure status, or `error: true` beside any status",
        "ThreadFix could not process the scan, or somebody deleted it. Its findings are not in ThreadFix.",
        "Read what ThreadFix says in the verdict, open the application's scans in ThreadFix, and upload the scan "
        "again.",
    ),
    Reason.SCAN_VANISHED: Row(
        Kind.FAIL,
        1,
        "ThreadFix knew the pending scan, then said 'not found' until `--outage-limit`",
        "Somebody or something removed the pending scan while it was being processed.",
        "Upload the scan again; if it happens twice, ask your ThreadFix administrator who deletes scans.",
    ),
    Reason.UNKNOWN_STATUS: Row(
        Kind.FAIL,
        1,
        "a status that is not documented, with `--on-unknown-status fail`",
        "Your ThreadFix uses a status that this gate does not know.",
        "Add the status to `{--success-statuses}` or `{--failure-statuses}`, or let the gate wait for the next one "
        "with `{--on-unknown-status wait}`.",
    ),
    Reason.USAGE: Row(
        Kind.UNKNOWN,
        2,
        "options are missing, wrong or contradict each other",
        "The gate does not know what to do, so it sent nothing to ThreadFix.",
        "Correct the {@options} named here; {@help}.",
    ),
    Reason.TIMEOUT: Row(
        Kind.UNKNOWN,
        3,
        "the scan was not finished at the deadline",
        "ThreadFix is still processing the scan, and goes on; only the gate has stopped waiting.",
        "{@resume}, or give the gate more time with `{--timeout}`.",
    ),
    Reason.DENIED: Row(
        Kind.UNKNOWN,
        4,
        "401, 403, or a response that mentions the API key or a permission",
        "ThreadFix does not accept the API key, or the key's user may not see this scan.",
        "Check that the secret is set and current, and that the key's user has the *Upload Scans* permission for the "
        "application: ThreadFix asks for that one here, read access is not enough.",
    ),
    Reason.NOT_FOUND: Row(
        Kind.UNKNOWN,
        5,
        "404, 410 or another `success: false`, from the start until `--first-contact-limit`",
        "ThreadFix does not know this pending scan of this application.",
        "Check both ids against the link that the upload returned, and that `{--url}` has its context path and "
        "`{--api-version}` fits your ThreadFix.",
    ),
    Reason.UNREACHABLE: Row(
        Kind.UNKNOWN,
        6,
        "no connection, a TLS error, no response in time, 408, 425, 429 or 5xx, until the limit",
        "ThreadFix could not be asked. What became of the scan is not known.",
        "Check `{--url}`, and whether this machine may reach it (DNS, firewall, proxy, certificates); then run the "
        "gate again.",
    ),
    Reason.PROTOCOL: Row(
        Kind.UNKNOWN,
        7,
        "a response that is not ThreadFix's: a redirect, a web page, broken JSON, another application's id, other 4xx",
        "Something answered, but not as ThreadFix's REST API does. Often it is a login page or a proxy.",
        "Check that `{--url}` has its context path, such as `/threadfix`, and that nothing in between asks for a "
        "login.",
    ),
    Reason.CANCELLED: Row(
        Kind.UNKNOWN,
        SIGNAL_EXIT_CODES[0],
        "SIGINT (130) or SIGTERM (143)",
        "The job was stopped. The scan goes on in ThreadFix; only the gate has stopped waiting.",
        "{@resume}.",
    ),
    Reason.INTERNAL: Row(
        Kind.UNKNOWN,
        70,
        "a bug in the gate",
        "The gate had an internal error, so it cannot say anything about the scan.",
        "Please report it with the traceback in the log; the API key is not in it.",
    ),
}
