"""The decision table for readings, and its warnings."""

from __future__ import annotations

import pytest

from gate.model.history import ScanReading
from gate.text.wording import FLAGS
from gate.threadfix.rules import FAILURE, STATUSES, SUCCESS, Decision, Rules, description


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_its_decision(status: str) -> None:
    expected = Decision.SUCCESS if status in SUCCESS else Decision.FAILURE if status in FAILURE else Decision.IN_FLIGHT
    assert Rules().decide(ScanReading(status)) is expected
    assert Rules().decide(ScanReading(f" {status.lower()} ")) is expected
    assert Rules().settled(ScanReading(status)) is (expected is not Decision.IN_FLIGHT)


@pytest.mark.parametrize("status", [*STATUSES, "WHATEVER", "DONE"])
def test_the_error_flag_beats_every_status(status: str) -> None:
    """ThreadFix has no status for a general failure; it sends the flag with any status."""
    assert Rules().decide(ScanReading(status, error=True)) is Decision.ERROR
    assert Rules().settled(ScanReading(status, error=True))


@pytest.mark.parametrize(
    "status",
    ["DONE\n", "\x1fDONE", "\xa0DONE", "ﬁnished_ﬁnding_pulling", "DON", "DONE2", "NOT DONE", "UNDONE", "DONE,",
     "FINISHED", "ERROR"],
)  # fmt: skip
def test_statuses_are_compared_whole(status: str) -> None:
    assert Rules().decide(ScanReading(status)) is Decision.UNKNOWN
    assert not Rules().settled(ScanReading(status))
    assert Rules(unknown_fails=True).settled(ScanReading(status))


def test_the_user_may_move_statuses() -> None:
    """A status that is removed from a list is in flight again. Failure has priority over success."""
    rules = Rules(success=frozenset({"CUSTOM"}), failure=frozenset({"QUEUED", "CUSTOM"}))
    assert rules.decide(ScanReading("DONE")) is Decision.IN_FLIGHT
    assert rules.decide(ScanReading("QUEUED")) is Decision.FAILURE
    assert rules.decide(ScanReading("CUSTOM")) is Decision.FAILURE


def test_an_unusual_reading_leads_to_a_warning() -> None:
    """A usual status leads to no warning, and neither does a status that is in the verdict."""
    for reading, text in (
        (ScanReading("NEW_ONE"), "NEW_ONE, which is not documented"),
        (ScanReading("SCAN_QUEUED_FOR_DELETE"), "for deletion"),
        (ScanReading("DONE", error_message="No."), "is DONE, but ThreadFix has an error message: 'No'."),
    ):
        assert text in (Rules().warning(reading, FLAGS, first=True) or "")
    for status in ("QUEUED", "DONE", "SCAN_DELETED", "NEW_ONE"):
        assert Rules(unknown_fails=True).warning(ScanReading(status), FLAGS, first=True) is None


DAY = 24 * 3600.0
NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("reading", "first", "warned"),
    [
        (ScanReading("DONE", modified=NOW - DAY - 1, sent=NOW), True, True),
        (ScanReading("SCAN_DELETED", modified=NOW - 3 * DAY, sent=NOW), True, True),
        (ScanReading("QUEUED", error=True, modified=NOW - 3 * DAY, sent=NOW), True, True),
        (ScanReading("DONE", modified=NOW - DAY, sent=NOW), True, False),
        (ScanReading("DONE"), True, False),
        (ScanReading("DONE", modified=NOW - 3 * DAY, sent=NOW), False, False),
        (ScanReading("QUEUED", modified=NOW - 3 * DAY, sent=NOW), True, False),
    ],
)
def test_an_old_scan_leads_to_a_warning(reading: ScanReading, first: bool, warned: bool) -> None:  # noqa: FBT001
    assert ("Is it the scan of this build?" in (Rules().warning(reading, FLAGS, first=first) or "")) is warned


def test_a_documented_status_has_a_description() -> None:
    assert description("done") == "Scan Processing Completed. Statistics Update Queued"
    assert description("NEW_ONE") == ""
