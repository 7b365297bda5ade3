"""What a check of the release comes to. It passes only if ThreadFix's fresh answer says that it holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.conclusions import Conclusion
    from gate.errors import Cancelled
    from gate.history import CheckHistory, CheckResult, Obstacle
    from gate.settings import Settings
    from gate.subjects import Check


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """What a check came to.

    Attributes:
        conclusion: what it came to.
        history: all that was seen of it.
        obstacles: open vulnerabilities that are in its way, ten at most; none of them changes the verdict.
        url: where a person can see it; None where that is not known.
    """

    conclusion: Conclusion
    history: CheckHistory
    obstacles: tuple[Obstacle, ...] = ()
    url: str | None = None

    @property
    def noun(self) -> str:
        """What it is about."""
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
        """What ThreadFix said last of each policy or criterion."""
        return self.history.reading.results if self.history.reading else ()


def judge_check(history: CheckHistory, settings: Settings, cancelled: Cancelled | None = None) -> CheckVerdict:
    """What the history of a check means."""
    raise NotImplementedError
