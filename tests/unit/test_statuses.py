"""The decision table: what an answer amounts to."""

from __future__ import annotations

import pytest

from gate.model.history import ScanReading
from gate.text.naming import FLAGS
from gate.threadfix.rules import Decision, Rules
from gate.threadfix.statuses import FAILURE, STATUSES, SUCCESS, description

IN_FLIGHT = set(STATUSES) - set(SUCCESS) - set(FAILURE)


def test_the_documented_list_is_complete() -> None:
    """Twelve statuses, of which two are good ends and two are bad ones."""
    assert (len(STATUSES), len(SUCCESS), len(FAILURE), len(IN_FLIGHT)) == (12, 2, 2, 8)


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_decides_as_the_table_says(status: str) -> None:
    """Exactly the success statuses pass, exactly the failure statuses fail."""
    expected = Decision.SUCCESS if status in SUCCESS else Decision.FAILURE if status in FAILURE else Decision.IN_FLIGHT
    assert Rules().decide(ScanReading(status)) is expected
    assert Rules().decide(ScanReading(f" {status.lower()} ")) is expected
    assert Rules().settled(ScanReading(status)) is (expected is not Decision.IN_FLIGHT)


@pytest.mark.parametrize("status", [*STATUSES, "WHATEVER", "DONE"])
def test_the_error_flag_beats_every_status(status: str) -> None:
    """ThreadFix has no status for failure; the flag is it, beside any status."""
    assert Rules().decide(ScanReading(status, error=True)) is Decision.ERROR
    assert Rules().settled(ScanReading(status, error=True))


@pytest.mark.parametrize(
    "status",
    [
        "DONE\n",
        "\x1fDONE",
        "\xa0DONE",
        "ﬁnished_ﬁnding_pulling",
        "DON",
        "DONE2",
        "NOT DONE",
        "UNDONE",
        "DONE,",
        "FINISHED",
        "ERROR",
    ],
)
def test_statuses_are_compared_whole(status: str) -> None:
    """A part of a success status is not one."""
    assert Rules().decide(ScanReading(status)) is Decision.UNKNOWN
    assert not Rules().settled(ScanReading(status))
    assert Rules(unknown_fails=True).settled(ScanReading(status))


def test_the_user_may_move_statuses() -> None:
    """A status that is taken out of a list is in flight again; failure beats success."""
    rules = Rules(success=frozenset({"CUSTOM"}), failure=frozenset({"QUEUED", "CUSTOM"}))
    assert rules.decide(ScanReading("DONE")) is Decision.IN_FLIGHT
    assert rules.decide(ScanReading("QUEUED")) is Decision.FAILURE
    assert rules.decide(ScanReading("CUSTOM")) is Decision.FAILURE


@pytest.mark.parametrize(
    ("status", "says"), [("NEW_ONE", "NEW_ONE, which is not documented"), ("SCAN_QUEUED_FOR_DELETE", "to be deleted")]
)
def test_what_a_person_is_warned_of(status: str, says: str) -> None:
    """An unknown status, and a scan that is about to go."""
    assert says in (Rules().warning(ScanReading(status), FLAGS, first=True) or "")


def test_an_unknown_status_that_fails_is_not_warned_of() -> None:
    """The verdict tells it."""
    assert Rules(unknown_fails=True).warning(ScanReading("NEW_ONE"), FLAGS, first=False) is None


@pytest.mark.parametrize("status", ["QUEUED", "DONE", "SCAN_DELETED"])
def test_nothing_is_said_of_the_usual(status: str) -> None:
    """A warning that always comes is none."""
    assert Rules().warning(ScanReading(status), FLAGS, first=True) is None


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
def test_a_scan_that_was_finished_long_ago_is_warned_of(reading: ScanReading, first: bool, warned: bool) -> None:  # noqa: FBT001
    """One that the gate found finished, more than a day before: it may be another build's."""
    assert ("Is it the scan of this build?" in (Rules().warning(reading, FLAGS, first=first) or "")) is warned


def test_the_words_of_a_status() -> None:
    """As ThreadFix shows them; empty for what it does not document."""
    assert description("done") == "Scan Processing Completed. Statistics Update Queued"
    assert description("NEW_ONE") == ""
