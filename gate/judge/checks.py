"""Judge a check of the release. It passes only if ThreadFix reports a fresh pass. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from gate.judge.conclusions import Conclusion, concluded
from gate.judge.scans import outage_length
from gate.model.advice import advise
from gate.model.history import Failure, History, StopCause
from gate.model.reasons import Reason
from gate.model.subjects import PassCriteria, Policy
from gate.text.wording import instant, seconds, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.judge.scanners import Doubt
    from gate.model.history import CheckHistory, CheckReading, CheckResult, Obstacle
    from gate.model.reasons import Cancelled
    from gate.model.subjects import Check, Plan
    from gate.options.settings import Settings


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """The verdict on a check, with its history."""

    noun: ClassVar[str] = "check"
    conclusion: Conclusion
    history: CheckHistory
    obstacles: tuple[Obstacle, ...] = ()  # open vulnerabilities that break it, ten at most
    url: str | None = None  # its page in ThreadFix; None if unknown

    @property
    def subject(self) -> str:
        """The check, as requested."""
        return str(self.check)

    @property
    def check(self) -> Check:
        """The check."""
        return self.history.target

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """The result of each policy or criterion in the newest response."""
        return self.history.reading.results if self.history.reading else ()


def judge_check(
    history: CheckHistory,
    settings: Settings,
    cancelled: Cancelled | None = None,
    *,
    obstacles: tuple[Obstacle, ...] = (),
    url: str | None = None,
) -> CheckVerdict:
    """Return the verdict on a check from its history. `url` and the obstacles are for the reports only."""
    conclusion = _conclusion_of(history, settings.plan, cancelled).downgrade(settings.downgraded)
    return CheckVerdict(conclusion, history, obstacles, url)


def doubted(verdict: CheckVerdict, doubt: Doubt | None) -> CheckVerdict:
    """Return the verdict; with a doubt, a check that holds is unknown. A check that fails stays failed."""
    if doubt is None or verdict.conclusion.reason is not Reason.POLICY_PASSED:
        return verdict
    message = f"{verdict.conclusion.message} It does not count: {doubt.cause}."
    return replace(verdict, conclusion=concluded(Reason.POLICY_UNKNOWN, message, doubt.hint, doubt.meaning))


def with_counts(verdict: CheckVerdict, counts: Sequence[tuple[str, int]]) -> CheckVerdict:
    """Return the verdict; its message has the numbers of the application's open vulnerabilities, if they are known."""
    shown = ", ".join(f"{number} {name}" for name, number in counts)
    message = f"{verdict.conclusion.message}{f' Open in the application: {shown}.' if shown else ''}"
    return replace(verdict, conclusion=replace(verdict.conclusion, message=message))


def without_scan(check: Check, application: str) -> CheckVerdict:
    """Return the verdict on a check of an application without a scan: ThreadFix's rules cannot say anything."""
    message = f"{application} has no scan, so there is nothing to judge."
    conclusion = concluded(Reason.POLICY_UNKNOWN, message, NO_SCAN_HINT, NO_SCAN_MEANING)
    return CheckVerdict(conclusion, History(check, StopCause.DECIDED))


def _conclusion_of(history: CheckHistory, plan: Plan, cancelled: Cancelled | None) -> Conclusion:
    if history.ended is StopCause.CANCELLED:
        wanted = "fresh" if history.reading else "good"
        message = f"there was no {wanted} response yet when the gate was stopped."
        conclusion = concluded(Reason.CANCELLED, message, meaning=STOPPED)
        return replace(conclusion, exit_code=cancelled.exit_code) if cancelled else conclusion
    newest = history.newest
    if isinstance(newest, Failure):
        # The scan itself exists, even if the check does not.
        reason = Reason.POLICY_UNKNOWN if newest.reason is Reason.NOT_FOUND else newest.reason
        advice = advise(newest.kind, newest.doing)
        meaning = advice.meaning or Reason.POLICY_UNKNOWN.row.meaning
        return concluded(reason, f"{newest.what}{outage_length(history)}", advice.hint, meaning)
    return _read_as(newest, history.target, plan)


def _read_as(reading: CheckReading, check: Check, plan: Plan) -> Conclusion:
    """Return the conclusion from the newest response."""
    results = reading.results
    # Without time to settle, the first response counts.
    counted = [result for result in results if result.behind == 0 or not plan.settle_timeout]
    broken = [result for result in counted if result.holds is False]
    undecided = [result for result in counted if result.holds is None]
    if broken:
        hint = None if isinstance(check, PassCriteria) else BROKEN_HINT
        conclusion = concluded(Reason.POLICY_FAILED, _broken(broken, len(results), check), hint)
        return replace(conclusion, names_subject=isinstance(check, PassCriteria))
    if len(counted) < len(results):
        stale = [result for result in results if result.behind != 0]
        undated = not isinstance(check, PassCriteria) and all(result.behind is None for result in stale)
        hint = UNDATED_HINT if undated else STALE_HINT
        conclusion = concluded(Reason.POLICY_UNKNOWN, _stale(stale, check, plan), hint, STALE_MEANING)
        return replace(conclusion, resumable=True)
    if undecided:
        message = f"ThreadFix says {_each(undecided, check)}."
        return concluded(Reason.POLICY_UNKNOWN, message, UNDECIDED_HINT)
    if not results or not reading.holds:
        message, hint = NO_CRITERIA if isinstance(check, PassCriteria) else NO_POLICIES
        return concluded(Reason.POLICY_UNKNOWN, message, hint)
    return concluded(Reason.POLICY_PASSED, _holding(results, check))


STOPPED: Final = "The gate was stopped before ThreadFix reported whether this application may be released."
STALE_MEANING: Final = "ThreadFix's result for the application may be older than its newest scan, so it does not count."
STALE_HINT: Final = (
    "Give ThreadFix more time with `{--settle-timeout}`. If that does not help, ask your ThreadFix administrator when "
    "it evaluates policies, and whether its queue is long."
)
BROKEN_HINT: Final = (
    "See in ThreadFix which of the application's vulnerabilities the policy does not allow. Fix them, or ask the owner "
    "of the policy to decide; then upload a new scan."
)
UNDATED_HINT: Final = (
    "Look at the policy in ThreadFix. More time does not help if ThreadFix sends no dates; `{--settle-timeout 0}` "
    "accepts its result without a date."
)
UNDECIDED_HINT: Final = "Look at the policy in ThreadFix: only PASSING is a pass."
NO_CRITERIA: Final = (
    "ThreadFix evaluated nothing: no criterion passed, and none failed.",
    "In ThreadFix, attach the application to a group of CI/CD pass criteria that has at least one criterion.",
)
NO_POLICIES: Final = (
    "no policy is attached to the application.",
    "In ThreadFix, attach a policy to the application; or name one with `{--policy}`.",
)
NO_SCAN_MEANING: Final = "No scan of this application is in ThreadFix, so its rules decide nothing."
NO_SCAN_HINT: Final = "Upload a scan of the application first, or check that the application is the right one."
NAMED: Final = 5  # the most policies or criteria that a message names


def _broken(broken: Sequence[CheckResult], number: int, check: Check) -> str:
    verb = "fails" if len(broken) == 1 else "fail"
    if isinstance(check, PassCriteria):
        shown = _some([f"{result.name}: {_limits(result)}" for result in broken], "; ")
        return f"{shown}. {len(broken)} of {number} criteria {verb}."
    if number == 1:
        return f"ThreadFix says {_each(broken, check)}{_id(broken[0])}."
    shown = _some([f"'{result.name}'{_id(result)}" for result in broken])
    return f"{len(broken)} of {number} policies {verb}: {shown}."


def _id(policy: CheckResult) -> str:
    return "" if policy.policy_id is None else f" (policy {policy.policy_id})"


def _holding(results: Sequence[CheckResult], check: Check) -> str:
    if isinstance(check, PassCriteria):
        return f"{len(results)} of {len(results)} criteria pass."
    if len(results) > 1:
        return f"{len(results)} of {len(results)} policies pass: {_names(results)}."
    (result,) = results
    at = "" if result.evaluated is None else f", evaluated at {instant(result.evaluated)}"
    return f"ThreadFix says {_each(results, check)}{at}."


def _stale(stale: Sequence[CheckResult], check: Check, plan: Plan) -> str:
    if isinstance(check, PassCriteria):
        return (
            f"stale: ThreadFix did not return the same result twice, {seconds(plan.max_interval)} apart, within "
            f"{seconds(plan.settle_timeout)}."
        )
    return f"{_some([_stale_result(result, check) for result in stale], '; ')}."


def _stale_result(result: CheckResult, check: Check) -> str:
    status = f"ThreadFix says {_each([result], check)}"
    if result.evaluated is None:
        return f"stale: {status}, but not when it evaluated that"
    if result.behind is None:
        return f"stale: {status}, but not when it processed the newest scan"
    return (
        f"stale by {seconds(result.behind)}: {status}, evaluated at {instant(result.evaluated)}, and the newest scan "
        f"was processed at {instant(result.evaluated + result.behind)}"
    )


def _each(results: Sequence[CheckResult], check: Check) -> str:
    """Return `PASSING`, with the name of the policy unless the check itself names it."""
    is_named = isinstance(check, Policy) and check.name is not None
    return _some([result.word if is_named else f"{result.word} of '{result.name}'" for result in results])


def _limits(result: CheckResult) -> str:
    limits = " and ".join(result.limits) or "its limit is not known"
    return limits if result.count is None else f"{result.count} open, {limits.replace(' open', ' allowed')}"


def _names(results: Sequence[CheckResult]) -> str:
    return _some([f"'{result.name}'" for result in results])


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first texts, and the number of the others."""
    return some(texts[:NAMED], len(texts), separator)
