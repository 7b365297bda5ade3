"""Determine which scans of a run may be of one scanner. Pure.

ThreadFix closes the findings that a scanner's newest scan lacks, and calls a report a duplicate by its date. So two
reports of one scanner that are parts of one scan close each other's findings, or only the first is imported.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

from gate.model.history import NOT_TAKEN, Accept, Failure, Finished, Refused, ScanReading, Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gate.model.history import ListedScans, Refusal, ScanHistory, Upload
    from gate.model.subjects import Target


class Doubt(NamedTuple):
    """The cause, meaning and advice if a rule that holds does not count."""

    cause: str
    meaning: str
    hint: str


class RunScan(NamedTuple):
    """A scan of the run. Two scans may be of one scanner if no fact shows the opposite."""

    subject: str
    suffixes: frozenset[str]  # the extensions of its files; empty if unknown
    scan_id: int | None = None
    scanner: str | None = None
    whole: bool = True  # false for a duplicate of several files: ThreadFix may have a scan of a single file

    def may_share_scanner(self, other: RunScan) -> bool:
        """Return whether both may be of one scanner, and are not one scan."""
        if self.scan_id is not None and self.scan_id == other.scan_id:
            return False
        if self.scanner and other.scanner:
            return self.scanner == other.scanner
        return _overlap(self.suffixes, other.suffixes)


PARTS_MEANING: Final = (
    "ThreadFix closes the findings that a scanner's newest scan lacks. So if the scans of this run are parts of one "
    "scan, the findings of the earlier part are closed, although they exist."
)
PARTS_HINT: Final = (
    "Send the parts of one scan together with `{--one-scan}`; if they are scans of different scanners, use one step "
    "per scanner."
)
ONE_PART_MEANING: Final = (
    "ThreadFix has a scan with the date of these files already, but it may be a scan of only one of them."
)
ONE_PART_HINT: Final = "Run the scanner again, and upload its new files with `{--one-scan}`."
CONTESTED: Final = (
    "ThreadFix compares the dates in the reports, not their content. Another file of this run has the same extension, "
    "so ThreadFix may have its scan in place of this file: `{--accept duplicate}` does not count."
)
"""The meaning of a duplicate next to another file of its type."""


def contest_duplicates(
    uploads: Sequence[Upload], histories: Sequence[ScanHistory]
) -> tuple[tuple[Upload, ...], tuple[ScanHistory, ...]]:
    """Return both, with no duplicate acceptable if another file of its type made a scan, or may still make a scan."""
    owners = _owners(uploads)
    made = [_suffixes_of(upload) for upload in uploads if _may_have_scan(upload)]
    made += [_suffixes(history, owners) for history in histories if not _refusal(history)]

    def contested(refusal: Refusal | None, suffixes: frozenset[str]) -> Refusal | None:
        if refusal and refusal.accept is Accept.DUPLICATE and any(_overlap(suffixes, other) for other in made):
            return refusal._replace(meaning=CONTESTED, advice=PARTS_HINT, accept=None)
        return refusal

    def checked(history: ScanHistory) -> ScanHistory:
        reading = history.reading
        if reading is None or reading is not history.newest or not reading.refusal:
            return history
        reading = replace(reading, refusal=contested(reading.refusal, _suffixes(history, owners)))
        return replace(history, newest=reading, reading=reading)

    def checked_upload(upload: Upload) -> Upload:
        if not isinstance(upload.receipt, Refused):
            return upload
        refusal = contested(upload.receipt.refusal, _suffixes_of(upload))
        return upload._replace(receipt=upload.receipt._replace(refusal=refusal))

    return tuple(map(checked_upload, uploads)), tuple(map(checked, histories))


def run_scans(
    uploads: Sequence[Upload], histories: Sequence[ScanHistory], listed: ListedScans | None = None
) -> tuple[RunScan, ...]:
    """Return the scans of a run without failures; `listed` has the names of their scanners."""
    owners, names = _owners(uploads), dict(listed.scanners) if listed else {}
    scans = []
    for upload in uploads:
        match upload.receipt:
            case Finished(number, _, scanner):
                scans.append(RunScan(str(upload.file), _suffixes_of(upload), number, scanner))
            case Refused(_, refusal) if refusal and refusal.accept is Accept.DUPLICATE:
                scans.append(RunScan(str(upload.file), _suffixes_of(upload), whole=not upload.file.parts))
    for history in histories:
        refusal, reading, owner = _refusal(history), history.reading, owners.get(history.target)
        if reading and (not refusal or refusal.accept is Accept.DUPLICATE):
            name = owner.file.shown if owner else reading.name
            subject = f"pending scan {history.target.pending_scan_id}{f' ({name})' if name else ''}"
            whole = not refusal or not (owner.file.parts if owner else reading.suffixes[1:])
            scanner = names.get(reading.scan_id or 0)
            scans.append(RunScan(subject, _suffixes(history, owners), reading.scan_id, scanner, whole))
    return tuple(scans)


def are_several(scans: Sequence[RunScan]) -> bool:
    """Return whether ThreadFix may have made more than one scan."""
    ids = {scan.scan_id for scan in scans}
    return len(scans) > 1 and (len(ids) > 1 or None in ids)


def doubt_of(scans: Iterable[RunScan], unlisted: Failure | None = None) -> Doubt | None:
    """Return the reason why no rule counts that holds; None without a doubt.

    Args:
        scans: of the run.
        unlisted: the failure to list the application's scans, if their scanners are unknown because of it.
    """
    scans = tuple(scans)
    for scan in scans:
        if not scan.whole:
            cause = f"{scan.subject} is a duplicate of a scan that may lack files"
            return Doubt(cause, ONE_PART_MEANING, ONE_PART_HINT)
    if unlisted:
        cause = f"the scans of the application could not be listed ({unlisted.what.rstrip('.')})"
        return Doubt(cause, PARTS_MEANING, PARTS_HINT)
    for scan, other in combinations(scans, 2):
        if scan.may_share_scanner(other):
            return Doubt(f"{scan.subject} and {other.subject} may be parts of one scan", PARTS_MEANING, PARTS_HINT)
    return None


def _owners(uploads: Iterable[Upload]) -> dict[Target, Upload]:
    return {target: upload for upload in uploads for target in upload.targets}


def _suffixes_of(upload: Upload) -> frozenset[str]:
    """Return the extensions of an upload's files. For an earlier upload only its response is known."""
    return upload.file.suffixes if upload.began is not None else frozenset()


def _suffixes(history: ScanHistory, owners: Mapping[Target, Upload]) -> frozenset[str]:
    if history.target in owners:
        return _suffixes_of(owners[history.target])
    return frozenset(history.reading.suffixes if history.reading else ())


def _overlap(suffixes: frozenset[str], others: frozenset[str]) -> bool:
    """Return whether files may have the same extension; an empty set is unknown."""
    return not suffixes or not others or bool(suffixes & others)


def _may_have_scan(upload: Upload) -> bool:
    """Return whether an upload without a pending scan made a scan, or may have made a scan."""
    match upload.receipt:
        case Failure() as failure:
            return not failure.unsent and failure.kind not in NOT_TAKEN
        case Finished() | Unfinished.BROKEN_OFF:
            return True
    return False


def _refusal(history: ScanHistory) -> Refusal | None:
    """Return the documented refusal that ended a pending scan; None if there is a scan, or may be a scan later."""
    reading = history.newest
    return reading.refusal if isinstance(reading, ScanReading) and reading.error else None
