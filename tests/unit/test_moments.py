"""Since when a scan is processed, from the dates of responses."""

from __future__ import annotations

import pytest

from gate.model.history import ListedScans
from gate.threadfix.rules import AHEAD, EARLIEST, SLACK, ProcessedScan, newest, plausible, processed_at

NOW = 1_570_117_773.0
"""`Date` of the first finished response, unless a case has another."""
LISTED_AT = NOW + 5


@pytest.mark.parametrize(
    ("moment", "sent", "known"),
    [
        (NOW, NOW, True), (EARLIEST, NOW, True), (EARLIEST - 0.001, NOW, False), (NOW + AHEAD, NOW, True),
        (NOW + AHEAD + 0.001, NOW, False), (NOW, None, False), (None, NOW, False), (NOW / 1000, NOW, False),
        (NOW * 1000, NOW, False), (0.0, 0.0, False), (NOW, 0.0, False), (NOW, -1e18, False),
    ],
)  # fmt: skip
def test_a_date_is_known_only_if_it_can_be_true(moment: float | None, sent: float | None, *, known: bool) -> None:
    """A date without the `Date` of its response could be in the far future."""
    assert plausible(moment, sent) == (moment if known else None)


@pytest.mark.parametrize(
    ("scan", "updated", "moment"),
    [
        # The later of two dates, if no response shows the scan unfinished after it.
        ({"modified": NOW - 3}, None, NOW - 3),
        ({"modified": NOW - 3}, NOW - 2, NOW - 2),
        ({"modified": NOW - 3}, NOW - 4, NOW - 3),
        ({"modified": NOW + 60}, NOW - 4, NOW + 60),
        ({"modified": NOW - 86_000}, None, NOW - 86_000),
        # A date that cannot be true is unknown.
        ({"modified": 1.0}, NOW - 2, NOW - 2),
        ({"modified": 1.0}, 1.0, NOW),
        ({"modified": None}, None, NOW),
        ({"modified": NOW + AHEAD + 1}, NOW + AHEAD + 6, NOW),
        ({"modified": NOW / 1000}, NOW * 1000, NOW),
        # A date more than ten minutes before a response that showed the scan unfinished does not count.
        ({"modified": NOW - 660, "unfinished": NOW - 60}, None, NOW - 660),
        ({"modified": NOW - 661, "unfinished": NOW - 60}, None, NOW),
        ({"modified": NOW - 661, "unfinished": NOW - 60}, NOW - 659, NOW - 659),
        ({"modified": NOW - 661, "unfinished": NOW - 60}, NOW - 662, NOW),
        ({"modified": NOW - 661, "uploaded": NOW - 60}, None, NOW),
        ({"modified": NOW - 600, "uploaded": NOW - 60, "unfinished": NOW + 1}, None, NOW),
        ({"modified": NOW - 600, "uploaded": NOW + 1, "unfinished": NOW - 60}, None, NOW),
        # Without the `Date` of the first finished response, nothing can take the place of a date.
        ({"modified": NOW, "finished": None}, None, None),
        ({"modified": NOW, "finished": None}, NOW, NOW),
        ({"finished": None, "unfinished": NOW}, NOW - 601, None),
        ({"finished": 0.0}, None, None),
        ({"finished": NOW - 9000, "unfinished": NOW}, NOW - 700, NOW - SLACK),
    ],
)
def test_the_moment_of_a_scan(scan: dict[str, float | None], updated: float | None, moment: float | None) -> None:
    listed = ListedScans(((11, LISTED_AT), (12, updated)), LISTED_AT)
    dates = ProcessedScan(12, **{"finished": NOW, **scan})
    assert processed_at(dates, listed) == moment
    if updated is None:
        assert processed_at(dates) == moment


@pytest.mark.parametrize(
    ("scan_id", "updated", "moment"),
    [
        (12, ((12, NOW + 1), (13, NOW + 2)), NOW + 1),
        (None, ((12, NOW + 1), (13, NOW + 2), (14, None), (None, NOW)), NOW + 2),
        (None, ((12, NOW + 1), (13, NOW + 9e9)), NOW + 1),
        (99, ((12, NOW + 1), (None, NOW + 2)), NOW),
        (None, (), NOW),
    ],
)
def test_a_scan_is_looked_up_by_its_id(
    scan_id: int | None, updated: tuple[tuple[int | None, float | None], ...], moment: float
) -> None:
    assert processed_at(ProcessedScan(scan_id, finished=NOW), ListedScans(updated, LISTED_AT)) == moment


@pytest.mark.parametrize(
    ("scans", "updated", "accepted", "moment"),
    [
        ((NOW, NOW + 9, NOW + 1), (), False, NOW + 9),
        ((NOW, None), (NOW,), False, None),
        ((NOW,), (NOW + 9,), False, NOW),
        # A file that ThreadFix already had.
        ((NOW,), (NOW + 9,), True, NOW + 9),
        ((NOW + 9,), (NOW,), True, NOW + 9),
        ((NOW,), (), True, NOW),
        ((NOW, None), (NOW,), True, None),
        ((), (NOW, NOW - 9), True, NOW),
        ((), (0.001, NOW * 1000), True, None),
        ((), (), True, None),
    ],
)
def test_the_newest_scan_counts(
    scans: tuple[float | None, ...], updated: tuple[float, ...], *, accepted: bool, moment: float | None
) -> None:
    dates = [ProcessedScan(99, finished=at) for at in scans]
    assert newest(dates, ListedScans(tuple(enumerate(updated, 1)), LISTED_AT), accepted=accepted) == moment


def test_without_a_list_the_scans_count_alone() -> None:
    for accepted in (False, True):
        assert newest([ProcessedScan(12, finished=NOW)], None, accepted=accepted) == NOW
    assert newest([], None, accepted=True) is None
    assert SLACK == 600
