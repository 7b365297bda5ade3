"""Judge a check of the release. It passes only if ThreadFix's fresh response is that it holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gate.judge.conclusions import Conclusion, concluded
from gate.judge.scans import stretch
from gate.model.history import Failure, StopCause
from gate.model.reasons import Reason
from gate.model.subjects import PassCriteria, Policy
from gate.text.wording import instant, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.model.errors import Cancelled
    from gate.model.history import CheckHistory, CheckReading, CheckResult, Obstacle
    from gate.model.subjects import Check
    from gate.options.settings import Plan, Settings


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """The verdict on a check.

    Attributes:
        conclusion: its result.
        history: its responses and errors.
        obstacles: open vulnerabilities that break it, ten at most; they do not change the verdict.
        url: of its page in ThreadFix; None if unknown.
    """

    conclusion: Conclusion
    history: CheckHistory
    obstacles: tuple[Obstacle, ...] = ()
    url: str | None = None

    @property
    def noun(self) -> str:
        """Return the kind of this part."""
        return "check"

    @property
    def subject(self) -> str:
        """The check, as it was asked for."""
        return str(self.check)

    @property
    def check(self) -> Check:
        """Which check."""
        return self.history.target

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """Return the result of each policy or criterion in the newest response."""
        return self.history.reading.results if self.history.reading else ()


def judge_check(
    history: CheckHistory,
    settings: Settings,
    cancelled: Cancelled | None = None,
    *,
    obstacles: tuple[Obstacle, ...] = (),
    url: str | None = None,
) -> CheckVerdict:
    """Return the verdict on a check from its history.

    Args:
        history: the responses to the check, and the errors.
        settings: of the run.
        cancelled: the signal that stopped the gate; None without a signal.
        obstacles: open vulnerabilities that break it; they change nothing.
        url: of its page in ThreadFix.
    """
    conclusion = _conclusion_of(history, settings.plan, cancelled)
    conclusion = conclusion.downgrade(settings.downgraded)
    return CheckVerdict(conclusion, history, obstacles, url)


def _conclusion_of(history: CheckHistory, plan: Plan, cancelled: Cancelled | None) -> Conclusion:
    if history.ended is StopCause.CANCELLED:
        said = "there was no fresh response yet" if history.reading else "there was no good response yet"
        conclusion = concluded(Reason.CANCELLED, f"{said} when the gate was stopped.", meaning=STOPPED)
        return replace(conclusion, exit_code=cancelled.exit_code) if cancelled else conclusion
    newest = history.newest
    if isinstance(newest, Failure):
        # The scan itself was found, also if the check was not.
        reason = Reason.POLICY_UNKNOWN if newest.reason is Reason.NOT_FOUND else newest.reason
        meaning = newest.meaning or Reason.POLICY_UNKNOWN.row.meaning
        return concluded(reason, f"{newest.what}{stretch(history)}", newest.hint, meaning)
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
        return concluded(Reason.POLICY_FAILED, _broken(broken, len(results), check), hint)
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
    return concluded(Reason.PROCESSED, _holding(results, check))


STOPPED: Final = (
    "The scan was processed, but the gate was stopped before ThreadFix had said whether this application may be "
    "released."
)
STALE_MEANING: Final = (
    "The scan was processed, but what ThreadFix says of the application may be from before that, so it does not count."
)
STALE_HINT: Final = (
    "Give ThreadFix more time with `{--settle-timeout}`. If that does not help, ask your ThreadFix administrator when "
    "it evaluates policies, and whether its queue is long."
)
BROKEN_HINT: Final = (
    "See in ThreadFix which of the application's vulnerabilities the policy does not allow. Fix them, or ask the owner "
    "of the policy to decide; then upload a new scan."
)
UNDATED_HINT: Final = (
    "Look at the policy in ThreadFix. More time does not help where ThreadFix gives no dates; `{--settle-timeout 0}` "
    "takes what it says as it is."
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
NAMED: Final = 5
"""The most policies or criteria that a message names."""


def _broken(broken: Sequence[CheckResult], number: int, check: Check) -> str:
    if isinstance(check, PassCriteria):
        shown = _some([f"{result.name} ({_limits(result)})" for result in broken])
        return f"{len(broken)} of {number} criteria {_verb(broken)}: {shown}."
    if number == 1:
        return f"ThreadFix says {_each(broken, check)}."
    return f"{len(broken)} of {number} policies {_verb(broken)}: {_some(_names(broken))}."


def _holding(results: Sequence[CheckResult], check: Check) -> str:
    if isinstance(check, PassCriteria):
        return f"{len(results)} of {len(results)} criteria pass."
    if len(results) > 1:
        return f"{len(results)} of {len(results)} policies pass: {_some(_names(results))}."
    (result,) = results
    at = "" if result.evaluated is None else f", evaluated at {instant(result.evaluated)}"
    return f"ThreadFix says {_each(results, check)}{at}."


def _stale(stale: Sequence[CheckResult], check: Check, plan: Plan) -> str:
    if isinstance(check, PassCriteria):
        return (
            f"stale: ThreadFix did not say the same twice, {seconds(plan.max_interval)} apart, within "
            f"{seconds(plan.settle_timeout)}."
        )
    return f"{_some([_one_stale(result, check) for result in stale], '; ')}."


def _one_stale(result: CheckResult, check: Check) -> str:
    said = f"ThreadFix says {_each([result], check)}"
    if result.evaluated is None:
        return f"stale: {said}, but not when it evaluated that"
    if result.behind is None:
        return f"stale: {said}, but not when it processed the scan"
    return (
        f"stale by {seconds(result.behind)}: {said}, evaluated at {instant(result.evaluated)}, and the scan was "
        f"processed at {instant(result.evaluated + result.behind)}"
    )


def _each(results: Sequence[CheckResult], check: Check) -> str:
    """Return `PASSING`, with the name of the policy if the check does not have it."""
    is_named = isinstance(check, Policy) and check.name is not None
    return _some([result.word if is_named else f"{result.word} of '{result.name}'" for result in results])


def _limits(result: CheckResult) -> str:
    limits = " and ".join(result.limits) or "its limit is not known"
    return limits if result.count is None else f"{limits}; {result.count} open"


def _names(results: Sequence[CheckResult]) -> list[str]:
    return [f"'{result.name}'" for result in results]


def _some(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first few texts, and the number of the others."""
    more = len(texts) - NAMED
    return separator.join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _verb(failing: Sequence[CheckResult]) -> str:
    return "fails" if len(failing) == 1 else "fail"
