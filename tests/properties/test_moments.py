"""A date can make the gate stricter, never less strict, whatever the server writes there.

The rules here are the test's own, in whole milliseconds, written without the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gate.evaluating import dated
from gate.history import FRESH, CheckReading, CheckResult, ListedScans
from gate.moments import ProcessedScan, newest
from gate.threadfix.responses import moment

NOW = 1_570_117_773_000
DAY, SLACK, YEAR_2010 = 86_400_000, 600_000, 1_262_304_000_000
MAGNITUDES = [
    0, 1, -1, NOW // 1000, NOW * 1000, 10**6, YEAR_2010 - 1, YEAR_2010, 2**31, 2**53, 2**63 - 1, 10**30, -(10**30),
    NOW - 1_800_000, NOW - SLACK, NOW, NOW + DAY, NOW + DAY + 1, NOW + 366 * DAY, 32_503_680_000_000,
]  # fmt: skip
"""Milliseconds since the epoch: 0, creation, seconds, microseconds, 1970, 2009, and the far future."""
dates = st.one_of(
    st.none(),
    st.sampled_from(MAGNITUDES),
    st.integers(NOW - 2 * SLACK, NOW + 2 * SLACK),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.floats(),
    st.sampled_from(["", str(NOW), "2019-10-03T15:49:33Z"]),
)
headers = st.one_of(st.none(), st.integers(NOW // 1000 - 2000, NOW // 1000 + 2000), st.sampled_from([0, 10**9, 10**11]))


@dataclass(frozen=True)
class Story:
    """Everything that a server wrote about a scan and a policy; `Date` headers are whole seconds.

    Attributes:
        modified: `modifiedDate` of the finished scan.
        updated: `updatedDate` in the list of scans.
        evaluated: `lastEvaluated` of the policy.
        uploaded: `Date` of the upload's response.
        unfinished: `Date` of the newest response that showed the scan unfinished.
        finished: `Date` of the first one that showed it finished.
        listed: `Date` of the list.
        answered: `Date` of the policy's response.
        is_listed: whether there is a list.
    """

    modified: object
    updated: object
    evaluated: object
    uploaded: int | None
    unfinished: int | None
    finished: int | None
    listed: int | None
    answered: int | None
    is_listed: bool = True

    @property
    def is_fresh(self) -> bool:
        """What the gate makes of it."""
        listed = ListedScans(((12, moment(self.updated)),), self.listed) if self.is_listed else None
        scan = ProcessedScan(12, moment(self.modified), self.finished, self.unfinished, self.uploaded)
        result = CheckResult("PCI", holds=True, word="PASSING", evaluated=moment(self.evaluated))
        reading = CheckReading("", holds=True, results=(result,), sent=self.answered)
        return dated(reading, newest([scan], listed, accepted=False)).status == FRESH


def known(date: object, sent: int | None) -> int | None:
    """A date that can be true."""
    if type(date) is not int or sent is None or not YEAR_2010 <= date <= sent * 1000 + DAY:
        return None
    return date


stories = st.builds(
    Story, dates, dates, dates, headers, headers, headers, headers, headers, is_listed=st.booleans()
)  # fmt: skip


@settings(max_examples=2000)
@given(stories)
@example(Story(1, None, NOW - 1_800_000, None, NOW // 1000, NOW // 1000, None, NOW // 1000))
@example(Story(NOW // 1000, None, NOW - 1_800_000, None, NOW // 1000, NOW // 1000, None, NOW // 1000))
@example(Story(NOW, NOW, NOW * 1000, None, NOW // 1000, NOW // 1000, None, None))
def test_no_date_lets_an_evaluation_from_before_the_scan_pass(story: Story) -> None:
    """It is never from before a response that showed the scan unfinished, but for ten minutes; nor impossible."""
    if not story.is_fresh:
        return
    evaluated = known(story.evaluated, story.answered)
    assert evaluated is not None
    proofs = [1000 * sent for sent in (story.uploaded, story.unfinished) if sent is not None]
    assert all(evaluated >= proof - SLACK for proof in proofs)
    found = [known(story.modified, story.finished)]
    if story.is_listed:
        found.append(known(story.updated, story.listed))
    assert all(evaluated >= date for date in found if date is not None)
    if not any(found):
        assert story.finished is not None
        assert evaluated >= 1000 * story.finished


@given(stories)
def test_without_the_dates_nothing_passes_that_is_older_than_the_response(story: Story) -> None:
    """A date can allow at most the ten minutes by which clocks may differ."""
    bare = Story(None, None, story.evaluated, *(getattr(story, name) for name in (
        "uploaded", "unfinished", "finished", "listed", "answered")))  # fmt: skip
    if bare.is_fresh:
        assert story.finished is not None
        assert isinstance(story.evaluated, int)
        assert story.evaluated >= 1000 * story.finished


@given(
    st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(-SLACK, SLACK), st.booleans()
)  # fmt: skip
def test_a_truthful_server_passes(waited: int, late: int, lag: int, skew: int, is_listed: bool) -> None:  # noqa: FBT001 - drawn
    """The clocks of its machines may differ by ten minutes: `Date` is that of another machine."""
    done = NOW + waited
    web = done + skew
    story = Story(
        done, done + lag, done + lag + late, NOW // 1000, web // 1000, web // 1000 + 1, web // 1000 + 2,
        web // 1000 + (lag + late) // 1000 + 3, is_listed,
    )  # fmt: skip
    assert story.is_fresh is (is_listed or late + lag >= 0)
