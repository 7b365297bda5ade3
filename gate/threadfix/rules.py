"""The documented statuses, the table that decides the meaning of a reading, and the moment of a processed scan. Pure.

The twelve statuses are the complete documented list, the same for ThreadFix 2.5 to 3.0 (vendor page "Check Pending
Scan Status"). The list has no status for a general failure: ThreadFix sends `error: true` with any status. Later
versions may have more statuses, so the gate treats a status outside the list as unknown.

All moments are seconds since the epoch by the server's clock; `None` means unknown. No moment is compared with this
machine's clock. A date can make the gate stricter, never less strict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from gate.model.history import NewestScan
from gate.text.sanitizer import fold, trim
from gate.text.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.model.history import Accept, ListedScans, Refusal, ScanReading
    from gate.text.wording import Naming

# Each status, and the text that ThreadFix shows for it.
STATUSES: Final[dict[str, str]] = {
    "QUEUED": "Queued",
    "UPLOADED": "Uploaded",
    "FINDINGS_GENERATING": "Generating Findings",
    "CHANNEL_MERGING": "Merging Channel Findings",
    "APPLICATION_MERGING": "Merging Application Findings",
    "APPLICATION_MERGED": "Merging Application Findings Completed",
    "LINKING_DEFECTS": "Linking Defects.",
    "DONE": "Scan Processing Completed. Statistics Update Queued.",
    "FINISHED_FINDING_PULLING": "Findings Import From Server Finished.",
    "SCAN_INTERRUPTED": "Scan processing was interrupted",
    "SCAN_QUEUED_FOR_DELETE": "Scan queued to be deleted.",
    "SCAN_DELETED": "Scan Deleted.",
}
SUCCESS: Final = ("DONE", "FINISHED_FINDING_PULLING")
FAILURE: Final = ("SCAN_INTERRUPTED", "SCAN_DELETED")
QUEUED_FOR_DELETE: Final = "SCAN_QUEUED_FOR_DELETE"
DELETED: Final = "SCAN_DELETED"
INTERRUPTED: Final = "SCAN_INTERRUPTED"
MERGED: Final = ("APPLICATION_MERGED", "LINKING_DEFECTS")  # the findings are in ThreadFix

OLD: Final = 24 * 3600.0  # seconds; a scan that was finished so long before the first poll may be another build's
# The advice for a status that is not documented; a template of `gate.text.wording`.
UNDOCUMENTED: Final = "Add the status to {--success-statuses} or {--failure-statuses} if it is final."

EARLIEST: Final = 1_262_304_000.0  # the beginning of 2010; no ThreadFix has processed a scan before
# Seconds, because several machines have several clocks and time zones.
AHEAD: Final = 24 * 3600.0  # that a date may be after the `Date` of its response
SLACK: Final = 600.0  # that a scan may be processed before a response showed it unfinished


def normal(status: str) -> str:
    """Return a status in the form for comparisons: trimmed, in ASCII capitals."""
    return fold(trim(status))


def description(status: str) -> str:
    """Return ThreadFix's text for a documented status; empty for any other status."""
    return STATUSES.get(normal(status), "").rstrip(".")


class Decision(Enum):
    """The meaning of a reading."""

    ACCEPTED = "accepted"
    SUCCESS = "success"
    ERROR = "error"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    IN_FLIGHT = "in flight"


DECIDED: Final = frozenset({Decision.ACCEPTED, Decision.SUCCESS, Decision.ERROR, Decision.FAILURE})


class Acceptor(NamedTuple):
    """A row of the table: a decision, and whether a reading leads to it."""

    decision: Decision
    matches: Callable[[Rules, ScanReading], bool]


# The decision table: the first row that matches a reading decides. Failure is before success on purpose.
ACCEPTORS: Final = (
    Acceptor(Decision.ACCEPTED, lambda rules, reading: reading.error and rules.accepts(reading.refusal)),
    Acceptor(Decision.ERROR, lambda _, reading: reading.error),
    Acceptor(Decision.FAILURE, lambda rules, reading: normal(reading.status) in rules.failure),
    Acceptor(Decision.SUCCESS, lambda rules, reading: normal(reading.status) in rules.success),
    Acceptor(Decision.IN_FLIGHT, lambda _, reading: normal(reading.status) in STATUSES),
    Acceptor(Decision.UNKNOWN, lambda _rules, _reading: True),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The final statuses and the accepted refusals, as the user has set them."""

    success: frozenset[str] = frozenset(SUCCESS)  # statuses in normal form (`normal`)
    failure: frozenset[str] = frozenset(FAILURE)  # statuses in normal form, without those in `success`
    unknown_fails: bool = False  # whether an undocumented status ends the wait
    accepted: frozenset[Accept] = frozenset()  # refusals that count as a pass

    def accepts(self, refusal: Refusal | None) -> bool:
        """Return whether a refusal counts as a pass."""
        return refusal is not None and refusal.accept in self.accepted

    def decide(self, reading: ScanReading) -> Decision:
        """Return the first decision in the table that matches."""
        return next(acceptor.decision for acceptor in ACCEPTORS if acceptor.matches(self, reading))

    def settled(self, reading: ScanReading) -> bool:
        """Return whether a reading ends the wait."""
        decision = self.decide(reading)
        return decision in DECIDED or (decision is Decision.UNKNOWN and self.unknown_fails)

    def is_another_uploads(self, first: ScanReading, since_upload: float) -> bool:
        """Return whether the first reading of an upload's scan shows a scan that was final before the upload.

        Both dates are from one response, so the clock of this machine does not count. `since_upload` is the seconds
        since the upload began, on a monotonic clock.
        """
        return self.settled(first) and first.age is not None and first.age > since_upload + SLACK

    def warning(self, reading: ScanReading, naming: Naming, *, first: bool) -> str | None:
        """Return a warning about a scan's newest (or first) reading, sanitized, without the scan's name; or None."""
        decision, age = self.decide(reading), reading.age
        if first and self.settled(reading) and age is not None and age > OLD:
            finished = f"was finished {seconds(age)} before the gate's first request. Is it the scan of this build?"
            return f"{finished} An old upload response contains an old scan's link."
        if decision is Decision.SUCCESS and reading.error_message:
            return f"is {reading.status}, but ThreadFix has an error message: '{reading.error_message.rstrip('.')}'."
        if decision is Decision.UNKNOWN and not self.unknown_fails:
            status, advice = reading.status, naming.fill(UNDOCUMENTED)
            return f"has the status {status}, which is not documented. The gate waits for the next status. {advice}"
        if decision is Decision.IN_FLIGHT and normal(reading.status) == QUEUED_FOR_DELETE:
            return "is queued for deletion. The gate keeps waiting."
        return None


class ProcessedScan(NamedTuple):
    """The dates of a processed scan. The dates of responses are their `Date` headers."""

    scan_id: int | None = None  # of the finished scan; ThreadFix before 2.7.7 does not send it
    modified: float | None = None  # `modifiedDate` in the first finished response
    finished: float | None = None  # date of that response
    unfinished: float | None = None  # date of the newest response that showed the scan unfinished
    uploaded: float | None = None  # date of the response to the upload


def plausible(moment: float | None, sent: float | None) -> float | None:
    """Return the date `moment` in a response if it can be a date of ThreadFix, otherwise None.

    `sent` is the response's `Date`; without it a date in the far future could not be recognized.
    """
    return None if moment is None or sent is None or not EARLIEST <= moment <= sent + AHEAD else moment


def processed_at(scan: ProcessedScan, listed: ListedScans | None = None) -> float | None:
    """Return the moment since which a scan is processed, also from the application's scans if they could be listed."""
    updated = updated_at(listed, scan.scan_id) if listed else None
    changed = _latest(updated, plausible(scan.modified, scan.finished))
    proofs = [sent - SLACK for sent in (scan.uploaded, scan.unfinished) if sent is not None]
    if changed is not None and changed >= max(proofs, default=changed):
        return changed
    # The dates of ThreadFix are missing, or older than a response that showed the scan unfinished.
    finished = plausible(scan.finished, scan.finished)
    return None if finished is None else _latest(finished, changed, *proofs)


def newest(scans: Sequence[ProcessedScan], listed: ListedScans | None, *, accepted: bool) -> float | None:
    """Return the moment of the newest scan of this run; None if the moment of any scan is unknown.

    If a file counts as `accepted` although ThreadFix refused it, the application's scans count too: the scan that
    ThreadFix already has may have been processed a moment ago.
    """
    moments = [processed_at(scan, listed) for scan in scans]
    return None if None in moments else _latest(*moments, updated_at(listed) if accepted and listed else None)


def updated_at(listed: ListedScans, scan_id: int | None = None) -> float | None:
    """Return `updatedDate` of a listed scan, or the newest `updatedDate` of all if the scan's id is unknown."""
    dates = (date for number, date in listed.updated if scan_id in (None, number))
    return _latest(*(plausible(date, listed.sent) for date in dates))


def newest_scan(listed: ListedScans) -> NewestScan | None:
    """Return the newest of the listed scans, by its date, or by its id if no date is known; None without scans."""
    dated = [(plausible(date, listed.sent) or 0.0, number or 0) for number, date in listed.updated]
    if not dated:
        return None
    updated, number = max(dated)
    return NewestScan(number or None, updated or None, (listed.sent or 0.0) - updated if updated else 0.0)


def _latest(*moments: float | None) -> float | None:
    return max((moment for moment in moments if moment is not None), default=None)
