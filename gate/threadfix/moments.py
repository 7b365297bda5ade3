"""Determine from the dates in responses when a scan was processed. Pure.

All moments are seconds since the epoch by the server's clock; `None` means unknown. No moment is compared with this
machine's clock. A date can make the gate stricter, never less strict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gate.model.history import NewestScan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.model.history import ListedScans

EARLIEST: Final = 1_262_304_000.0  # the beginning of 2010; no ThreadFix has processed a scan before
# Seconds, because several machines have several clocks and time zones.
AHEAD: Final = 24 * 3600.0  # that a date may be after the `Date` of its response
SLACK: Final = 600.0  # that a scan may be processed before a response showed it unfinished


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
