"""The scans of a run that may be parts of one scan, or duplicates of another file's scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.judge.scanners import (
    CONTESTED,
    ONE_PART_HINT,
    ONE_PART_MEANING,
    PARTS_HINT,
    PARTS_MEANING,
    Doubt,
    RunScan,
    are_several,
    contest_duplicates,
    doubt_of,
    run_scans,
)
from gate.model.advice import FailureKind
from gate.model.history import (
    Failure,
    Finished,
    History,
    ListedScans,
    Queued,
    Refused,
    ScanReading,
    StopCause,
    Unfinished,
    Upload,
)
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target, one_scan
from tests.builders import DOWN, DUPLICATE, NO_RESULTS, REFUSED

if TYPE_CHECKING:
    from gate.model.history import Observation, Receipt, ScanHistory

XML, JSON, BOTH, UNKNOWN = frozenset({".XML"}), frozenset({".JSON"}), frozenset({".XML", ".JSON"}), frozenset[str]()


def sent(receipt: Receipt | int, *names: str, began: float | None = 0.0) -> Upload:
    """Return the upload of files; a number is the id of its pending scan."""
    files = [ScanFile(name, 1, name) for name in names]
    result = Queued((Target(6, receipt),)) if isinstance(receipt, int) else receipt
    return Upload(files[0] if len(files) == 1 else one_scan(files), result, began=began)


def polled(newest: Observation, reading: ScanReading | None = None) -> ScanHistory:
    known = newest if isinstance(newest, ScanReading) else reading
    return History(Target(6, 41), StopCause.DECIDED, newest=newest, reading=known)


DONE = ScanReading("DONE", scan_id=12, name="a.xml", suffixes=(".XML",))
SAME = ScanReading("DONE", error=True, refusal=DUPLICATE, suffixes=(".XML",))
NAMES = ListedScans(scanners=((1, "FindBugs"), (12, "ZAP")))
SCANS = [
    ((sent(Finished(12, None, "ZAP"), "a.xml"),), (), None, RunScan("upload of a.xml", XML, 12, "ZAP")),
    ((sent(Finished(12), "a.xml", began=None),), (), NAMES, RunScan("upload of a.xml", UNKNOWN, 12)),
    ((sent(REFUSED, "a.xml"),), (), None, RunScan("upload of a.xml", XML)),
    ((sent(REFUSED, "a.xml", "b.json"),), (), None, RunScan("upload of a.xml, b.json", BOTH, whole=False)),
    ((sent(Refused("No.", NO_RESULTS), "a.xml"), sent(Refused("No."), "a.xml"), sent(DOWN, "a.xml")), (), None, None),
    ((), (polled(DONE),), NAMES, RunScan("pending scan 41 (a.xml)", XML, 12, "ZAP")),
    ((), (polled(DOWN, DONE),), None, RunScan("pending scan 41 (a.xml)", XML, 12)),
    ((), (polled(ScanReading("DONE")),), NAMES, RunScan("pending scan 41", UNKNOWN)),
    ((), (polled(DOWN),), NAMES, None),
    ((sent(41, "b.json"),), (polled(DONE),), NAMES, RunScan("pending scan 41 (b.json)", JSON, 12, "ZAP")),
    ((sent(41, "b.json", began=None),), (polled(DONE),), None, RunScan("pending scan 41 (b.json)", UNKNOWN, 12)),
    ((), (polled(SAME),), None, RunScan("pending scan 41", XML)),
    ((), (polled(ScanReading("DONE", error=True, refusal=DUPLICATE, suffixes=(".XML", ".JSON"))),), None,
     RunScan("pending scan 41", BOTH, whole=False)),
    ((sent(41, "a.xml"),), (polled(SAME),), None, RunScan("pending scan 41 (a.xml)", XML)),
    ((sent(41, "a.xml", "b.json"),), (polled(SAME),), None,
     RunScan("pending scan 41 (a.xml, b.json)", BOTH, whole=False)),
    ((), (polled(ScanReading("DONE", error=True, refusal=NO_RESULTS)),), None, None),
    ((), (polled(ScanReading("DONE", refusal=NO_RESULTS)),), None, RunScan("pending scan 41", UNKNOWN)),
]  # fmt: skip


@pytest.mark.parametrize(("uploads", "histories", "listed", "scan"), SCANS)
def test_a_scan_has_the_facts_that_tell_scanners_apart(
    uploads: tuple[Upload, ...], histories: tuple[ScanHistory, ...], listed: ListedScans | None, scan: RunScan | None
) -> None:
    assert run_scans(uploads, histories, listed) == ((scan,) if scan else ())


ZAP = RunScan("a", XML, 12, "ZAP")
OTHER = RunScan("c", frozenset({".PDF"}), 14, "Other")
PAIRS = [
    (ZAP, ZAP, False),
    (ZAP, RunScan("b", XML, 13, "ZAP"), True),
    (ZAP, RunScan("b", JSON, 13, "ZAP"), True),
    (ZAP, RunScan("b", XML, 13, "FindBugs"), False),
    (ZAP, RunScan("b", XML, 13), True),
    (ZAP, RunScan("b", JSON, 13), False),
    (RunScan("a", XML), RunScan("b", XML), True),
    (RunScan("a", UNKNOWN), RunScan("b", JSON), True),
    (RunScan("a", JSON), RunScan("b", UNKNOWN), True),
    (RunScan("a", BOTH), RunScan("b", JSON), True),
]


@pytest.mark.parametrize(("scan", "other", "may_share"), PAIRS)
def test_two_scans_of_one_scanner_may_be_parts_of_one_scan(scan: RunScan, other: RunScan, *, may_share: bool) -> None:
    doubt = Doubt(f"{scan.subject} and {other.subject} may be parts of one scan", PARTS_MEANING, PARTS_HINT)
    assert doubt_of(iter((scan, other, OTHER))) == (doubt if may_share else None)


def test_a_scan_without_a_known_scanner_or_with_missing_files_is_a_doubt() -> None:
    part = RunScan("upload of a.xml, b.xml", XML, whole=False)
    cause = "upload of a.xml, b.xml is a duplicate of a scan that may lack files"
    assert doubt_of([ZAP, part], DOWN) == Doubt(cause, ONE_PART_MEANING, ONE_PART_HINT)
    cause = "the scans of the application could not be listed (tf.example.com returned HTTP 502)"
    assert doubt_of([ZAP], DOWN) == Doubt(cause, PARTS_MEANING, PARTS_HINT)


NUMBERS = [((), False), ((12,), False), ((None,), False), ((12, 12), False), ((12, 13), True), ((None, None), True)]


@pytest.mark.parametrize(("ids", "several"), NUMBERS)
def test_scans_are_several_unless_they_are_one_for_certain(ids: tuple[int | None, ...], *, several: bool) -> None:
    assert are_several([RunScan("a", XML, number) for number in ids]) is several


DENIED = Failure(Reason.DENIED, "refused.", FailureKind.DENIED)
SECOND = sent(REFUSED, "a.xml")
CONTESTS = [
    ((SECOND,), (), True),
    ((SECOND, SECOND), (), True),
    ((SECOND, sent(Finished(12), "b.xml")), (), False),
    ((SECOND, sent(Finished(12), "b.json")), (), True),
    ((SECOND, sent(Finished(12), "b.json", began=None)), (), False),
    ((SECOND, sent(Unfinished.BROKEN_OFF, "b.xml")), (), False),
    ((SECOND, sent(Unfinished.NOT_SENT, "b.xml")), (), True),
    ((SECOND, sent(DOWN, "b.xml")), (), False),
    ((SECOND, sent(replace(DOWN, unsent=True), "b.xml")), (), True),
    ((SECOND, sent(DENIED, "b.xml")), (), True),
    ((SECOND,), (polled(DONE),), False),
    ((SECOND,), (polled(DOWN),), False),
    ((SECOND,), (polled(SAME),), True),
    ((SECOND, sent(41, "b.json")), (polled(DONE),), True),
    ((sent(41, "a.xml"), sent(Finished(12), "b.xml")), (polled(SAME),), False),
    ((sent(41, "a.xml"), sent(Finished(12), "b.json")), (polled(SAME),), True),
    ((sent(Finished(12), "b.xml"),), (polled(SAME),), False),
]


@pytest.mark.parametrize(("uploads", "histories", "counts"), CONTESTS)
def test_a_duplicate_does_not_count_next_to_a_scan_of_another_file_of_its_type(
    uploads: tuple[Upload, ...], histories: tuple[ScanHistory, ...], *, counts: bool
) -> None:
    refusal = DUPLICATE if counts else DUPLICATE._replace(meaning=CONTESTED, advice=PARTS_HINT, accept=None)
    expected = [
        upload._replace(receipt=REFUSED._replace(refusal=refusal)) if upload.receipt == REFUSED else upload
        for upload in uploads
    ]
    waits = [
        replace(wait, newest=(reading := replace(SAME, refusal=refusal)), reading=reading)
        if wait.newest == SAME
        else wait
        for wait in histories
    ]
    assert contest_duplicates(uploads, histories) == (tuple(expected), tuple(waits))


@pytest.mark.parametrize(
    "history",
    [
        polled(DOWN, SAME),
        polled(ScanReading("DONE", error=True)),
        polled(ScanReading("DONE", error=True, refusal=NO_RESULTS)),
    ],
)
def test_other_results_are_not_contested(history: ScanHistory) -> None:
    refused = sent(Refused("", NO_RESULTS), "a.xml")
    uploads = (refused, sent(Refused(""), "a.xml"), sent(Finished(12), "b.xml"))
    assert contest_duplicates(uploads, (history,)) == (uploads, (history,))
