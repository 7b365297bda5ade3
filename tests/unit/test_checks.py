"""The verdict on a check from its history: a pass only if every result is fresh and holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gate.judge.checks import (
    BROKEN_HINT,
    NAMED,
    NO_CRITERIA,
    NO_POLICIES,
    NO_SCAN_HINT,
    NO_SCAN_MEANING,
    STALE_HINT,
    UNDATED_HINT,
    UNDECIDED_HINT,
    CheckVerdict,
    doubted,
    judge_check,
    with_counts,
    without_scan,
)
from gate.judge.conclusions import conclude, concluded, name_options
from gate.judge.scanners import Doubt
from gate.model.advice import Doing, FailureKind
from gate.model.history import CheckReading, CheckResult, Failure, History, Outage, StopCause
from gate.model.reasons import Cancelled, Kind, Reason
from gate.model.subjects import AllPolicies, PassCriteria, Plan, Policy
from gate.text.wording import FLAGS
from tests.builders import SETTINGS, history_of, judged
from tests.unit.test_waiting import DONE

if TYPE_CHECKING:
    from gate.judge.conclusions import Conclusion
    from gate.model.subjects import Check

AT = 1_570_117_773.0
PCI = Policy(name="PCI")
HOLDS = CheckResult("PCI", holds=True, word="PASSING", evaluated=AT)
BROKEN = CheckResult("PCI", holds=False, word="FAILING", evaluated=AT)
OPEN = CheckResult("PCI", holds=None, word="NO SCANS FOUND", evaluated=AT)
OLD = replace(HOLDS, behind=200.0)
UNDATED = replace(HOLDS, evaluated=None, behind=None)
HIGH = CheckResult("High", holds=True, word="", limits=("at most 0 open",))


def ended(check: Check, newest: CheckReading | Failure, **changes: Any) -> History[Check, CheckReading]:  # noqa: ANN401
    """Return the history of a check with this newest response or failure."""
    reading = newest if isinstance(newest, CheckReading) else None
    outages = (Outage(40.0, newest, polls=3),) if isinstance(newest, Failure) else ()
    return replace(
        History(check, StopCause.DECIDED, 100.0, 9, newest=newest, reading=reading, outages=outages), **changes
    )


def conclusion_of(check: Check, *results: CheckResult, settle: float = 120.0, status: str = "fresh") -> Conclusion:
    """Return the conclusion from these results; its texts name flags."""
    holds = False if any(result.holds is False for result in results) else None
    holds = True if results and all(result.holds for result in results) else holds
    settings = replace(SETTINGS, plan=Plan(settle_timeout=settle))
    verdict = judge_check(ended(check, CheckReading(status, holds, results)), settings)
    return name_options(verdict.conclusion, FLAGS)


CONCLUSIONS = {
    (Reason.POLICY_PASSED, False): [
        (PCI, (HOLDS,), "ThreadFix says PASSING, evaluated at 2019-10-03 15:49:33 UTC."),
        (Policy(id=3), (HOLDS,), "ThreadFix says PASSING of 'PCI', evaluated at 2019-10-03 15:49:33 UTC."),
        (PCI, (replace(HOLDS, evaluated=None),), "ThreadFix says PASSING."),
        (AllPolicies(), (HOLDS, replace(HOLDS, name="B")), "2 of 2 policies pass: 'PCI', 'B'."),
        (PassCriteria(), (HIGH, HIGH), "2 of 2 criteria pass."),
        (PassCriteria(), (HIGH,), "1 of 1 criteria pass."),
    ],
    (Reason.POLICY_FAILED, False): [
        (PCI, (BROKEN,), "ThreadFix says FAILING."),
        (AllPolicies(), (replace(BROKEN, policy_id=3),), "ThreadFix says FAILING of 'PCI' (policy 3)."),
        (AllPolicies(), (BROKEN, HOLDS, OPEN), "1 of 3 policies fails: 'PCI'."),
        (AllPolicies(), (BROKEN, OLD, UNDATED), "1 of 3 policies fails: 'PCI'."),
        (PassCriteria(), (replace(HIGH, holds=False, count=3), HIGH),
         "High: 3 open, at most 0 allowed. 1 of 2 criteria fails."),
        (PassCriteria(), (replace(HIGH, holds=False, count=1), replace(HIGH, holds=False, count=2)),
         "High: 1 open, at most 0 allowed; High: 2 open, at most 0 allowed. 2 of 2 criteria fail."),
        (PassCriteria(), (replace(HIGH, holds=False, limits=()),),
         "High: its limit is not known. 1 of 1 criteria fails."),
    ],
    (Reason.POLICY_UNKNOWN, False): [
        (PCI, (OPEN,), "ThreadFix says NO SCANS FOUND."),
        (AllPolicies(), (OPEN, HOLDS), "ThreadFix says NO SCANS FOUND of 'PCI'."),
        (AllPolicies(), (), "no policy is attached to the application."),
        (PassCriteria(), (), "ThreadFix evaluated nothing: no criterion passed, and none failed."),
    ],
    (Reason.POLICY_UNKNOWN, True): [
        (PCI, (OLD,), ("stale by 3m20s: ThreadFix says PASSING, evaluated at 2019-10-03 15:49:33 UTC, and the newest "
                       "scan was processed at 2019-10-03 15:52:53 UTC.")),
        (PCI, (UNDATED,), "stale: ThreadFix says PASSING, but not when it evaluated that."),
        (PCI, (replace(HOLDS, behind=None),),
         "stale: ThreadFix says PASSING, but not when it processed the newest scan."),
        (AllPolicies(), (HOLDS, replace(UNDATED, name="B"), replace(UNDATED, name="C")),
         ("stale: ThreadFix says PASSING of 'B', but not when it evaluated that; stale: ThreadFix says PASSING of "
          "'C', but not when it evaluated that.")),
        (PCI, (replace(OLD, holds=False, word="FAILING", evaluated=None, behind=None),),
         "stale: ThreadFix says FAILING, but not when it evaluated that."),
        (PassCriteria(), (replace(HIGH, behind=None),),
         "stale: ThreadFix did not return the same result twice, 15s apart, within 2m."),
    ],
}  # fmt: skip
"""The results of checks and the message, by the reason and whether a later response may help."""


@pytest.mark.parametrize(
    ("check", "results", "message", "reason", "stale"),
    [(*row, *key) for key, rows in CONCLUSIONS.items() for row in rows],
)
def test_a_check_has_a_reason_and_a_message(
    check: Check, results: tuple[CheckResult, ...], message: str, reason: Reason, *, stale: bool
) -> None:
    """It passes only if every result is fresh and holds; a single fresh result that does not hold is a fail."""
    conclusion = conclusion_of(check, *results, status="stale" if stale else "fresh")
    assert (conclusion.reason, conclusion.message, conclusion.resumable) == (reason, message, stale)
    criteria = isinstance(check, PassCriteria)
    undated = not criteria and all(result.behind is None for result in results if result.behind != 0)
    hints = {
        (Reason.POLICY_PASSED, False): "",
        (Reason.POLICY_FAILED, False): Reason.POLICY_FAILED.row.advice if criteria else BROKEN_HINT,
        (Reason.POLICY_UNKNOWN, True): UNDATED_HINT if undated else STALE_HINT,
        (Reason.POLICY_UNKNOWN, False): UNDECIDED_HINT if results else (NO_CRITERIA if criteria else NO_POLICIES)[1],
    }
    assert conclusion.hint.startswith(FLAGS.fill(hints[reason, stale]))
    assert conclusion.names_subject is (criteria and reason is Reason.POLICY_FAILED)
    assert not stale or (
        "--settle-timeout" in conclusion.hint and "may be older than its newest scan" in conclusion.meaning
    )


def test_without_time_to_settle_the_first_response_counts() -> None:
    for holds, reason in (
        (True, Reason.POLICY_PASSED), (False, Reason.POLICY_FAILED), (None, Reason.POLICY_UNKNOWN),
    ):  # fmt: skip
        assert conclusion_of(PCI, replace(UNDATED, holds=holds), settle=0, status="unchecked").reason is reason


def test_a_reading_that_contradicts_its_results_is_no_pass() -> None:
    for holds in (None, False):
        conclusion = judge_check(ended(PCI, CheckReading("fresh", holds, (HOLDS,))), SETTINGS).conclusion
        assert conclusion.reason is Reason.POLICY_UNKNOWN


def test_a_message_names_a_few_and_counts_the_others() -> None:
    """A hundred policies with long names must not fill the annotation."""
    many = [replace(BROKEN, name=f"{number:02}{'x' * 58}") for number in range(100)]
    message = conclusion_of(AllPolicies(), *many).message
    assert message.startswith(f"100 of 100 policies fail: '00{'x' * 58}', '01")
    assert message.endswith(" and 95 more.")
    assert message.count("x'") == NAMED
    for result in (OLD, replace(OLD, holds=None), HIGH):
        worst = [replace(result, name="y" * 60, word="z" * 60, limits=("at most 999999999 introduced",) * 2)] * 100
        for check in (AllPolicies(), PassCriteria()):
            assert len(conclusion_of(check, *worst).message) < 1600


# --- Checks that could not be evaluated.


@pytest.mark.parametrize(
    ("reason", "becomes"),
    [
        (Reason.DENIED, Reason.DENIED), (Reason.UNREACHABLE, Reason.UNREACHABLE), (Reason.PROTOCOL, Reason.PROTOCOL),
        (Reason.POLICY_UNKNOWN, Reason.POLICY_UNKNOWN), (Reason.NOT_FOUND, Reason.POLICY_UNKNOWN),
    ],
)  # fmt: skip
def test_a_check_that_could_not_be_evaluated_is_unknown(reason: Reason, becomes: Reason) -> None:
    """Never a pass, even after a good response; and never `not-found`, because the scan exists."""
    failure = Failure(reason, "HTTP 404.", FailureKind.NO_ENDPOINT, Doing.CRITERIA)
    for reading in (None, CheckReading("stale", holds=True, results=(OLD,))):
        history = ended(PCI, failure, reading=reading, ended=StopCause.LIMIT)
        conclusion = judge_check(history, SETTINGS).conclusion
        assert (conclusion.reason, conclusion.kind) == (becomes, Kind.UNKNOWN)
        assert conclusion.message == "HTTP 404. This went on for 1m (3 failed polls)."
        assert conclusion.meaning == Reason.POLICY_UNKNOWN.row.meaning
        assert conclusion.hint.startswith("Check that your ThreadFix is 2.5 or later")
    better = judge_check(ended(PCI, replace(failure, kind=FailureKind.ANOTHER)), SETTINGS).conclusion
    assert better.meaning.endswith("so it says nothing about the release.")


def test_only_unreachable_can_be_downgraded() -> None:
    settings = replace(SETTINGS, downgraded=frozenset({Reason.UNREACHABLE, Reason.TIMEOUT}))
    down = judge_check(ended(PCI, Failure(Reason.UNREACHABLE, "HTTP 502.")), settings).conclusion
    assert (down.exit_code, down.downgraded, down.resumable) == (0, True, True)
    stale = judge_check(ended(PCI, CheckReading("stale", holds=True, results=(OLD,))), settings).conclusion
    assert stale.exit_code == 8


def test_a_cancelled_check_is_cancelled() -> None:
    stale = CheckReading("stale", holds=True, results=(OLD,))
    for reading, message in ((None, "there was no good response yet"), (stale, "no fresh response")):
        history = ended(PCI, Failure(Reason.UNREACHABLE, "x"), reading=reading, ended=StopCause.CANCELLED)
        for cancelled, code in ((Cancelled(15), 143), (Cancelled(2), 130), (None, 130)):
            conclusion = judge_check(history, SETTINGS, cancelled).conclusion
            assert (conclusion.reason, conclusion.exit_code, conclusion.resumable) == (Reason.CANCELLED, code, True)
            assert message in conclusion.message
            assert "released" in conclusion.meaning


# --- With the other parts of the verdict.


def checked(*results: CheckResult) -> CheckVerdict:
    """Return the verdict on all policies, with these results."""
    holds = True if all(result.holds for result in results) else None
    return judge_check(ended(AllPolicies(), CheckReading("fresh", holds, results)), SETTINGS, url="https://tf/6")


def test_a_check_is_a_part_of_the_verdict_and_decides_if_the_scan_has_passed() -> None:
    part = checked(HOLDS)
    assert (part.noun, part.subject, part.url) == ("check", "all policies", "https://tf/6")
    assert (part.check, part.results) == (AllPolicies(), (HOLDS,))
    assert judge_check(ended(PCI, Failure(Reason.DENIED, "x")), SETTINGS).results == ()
    scan = judged(history_of(DONE))
    assert conclude([scan, part]).message.startswith("all policies: ThreadFix says PASSING of 'PCI', evalua")
    unknown = conclude([scan, checked(OPEN)])
    assert unknown.reason is Reason.POLICY_UNKNOWN
    assert unknown.message == "all policies: ThreadFix says NO SCANS FOUND of 'PCI'."


def test_numbers_a_doubt_and_the_lack_of_a_scan_change_the_verdict_on_a_check() -> None:
    part, text = checked(HOLDS), "ThreadFix says PASSING of 'PCI', evaluated at 2019-10-03 15:49:33 UTC."
    assert with_counts(part, ()) == doubted(part, None) == part
    message = f"{text} Open in the application: 2 Critical, 1 High."
    shown = replace(part, conclusion=replace(part.conclusion, message=message))
    assert with_counts(part, [("Critical", 2), ("High", 1)]) == shown
    unknown = concluded(Reason.POLICY_UNKNOWN, f"{text} It does not count: the cause.", "the advice", "the meaning")
    doubt = Doubt("the cause", "the meaning", "the advice")
    assert doubted(part, doubt) == replace(part, conclusion=unknown)
    assert doubted(checked(BROKEN), doubt) == checked(BROKEN)
    nothing = "Shop has no scan, so there is nothing to judge."
    unknown = concluded(Reason.POLICY_UNKNOWN, nothing, NO_SCAN_HINT, NO_SCAN_MEANING)
    assert without_scan(PCI, "Shop") == CheckVerdict(unknown, History(PCI, StopCause.DECIDED))
