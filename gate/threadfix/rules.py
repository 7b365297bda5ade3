"""The table that decides what a reading amounts to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from gate.judge.moments import SLACK
from gate.text.wording import seconds
from gate.threadfix.statuses import FAILURE, QUEUED_FOR_DELETE, STATUSES, SUCCESS, normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.history import Accept, Refusal, ScanReading
    from gate.text.naming import Naming

OLD: Final = 24 * 3600.0
"""Seconds after which a scan that was finished before the gate asked may well be another build's."""

UNDOCUMENTED: Final = "Add it to {--success-statuses} or {--failure-statuses} if it is final."
"""The advice for a status that is not documented; a template of `gate.text.naming`."""


class Decision(Enum):
    """What an answer amounts to."""

    ACCEPTED = "accepted"
    SUCCESS = "success"
    ERROR = "error"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    IN_FLIGHT = "in flight"


DECIDED: Final = frozenset({Decision.ACCEPTED, Decision.SUCCESS, Decision.ERROR, Decision.FAILURE})


@dataclass(frozen=True, slots=True)
class Acceptor:
    """One rule of the table: the decision it stands for, and which answers it takes."""

    decision: Decision
    takes: Callable[[Rules, ScanReading], bool]


ACCEPTORS: Final = (
    Acceptor(Decision.ACCEPTED, lambda rules, answer: answer.error and rules.accepts(answer.refusal)),
    Acceptor(Decision.ERROR, lambda _, answer: answer.error),
    Acceptor(Decision.FAILURE, lambda rules, answer: normal(answer.status) in rules.failure),
    Acceptor(Decision.SUCCESS, lambda rules, answer: normal(answer.status) in rules.success),
    Acceptor(Decision.IN_FLIGHT, lambda _, answer: normal(answer.status) in STATUSES),
    Acceptor(Decision.UNKNOWN, lambda _rules, _answer: True),
)
"""The decision table: the first acceptor that takes an answer decides. Failure stands before success on purpose."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which statuses decide, as the user asked for it.

    Attributes:
        success: statuses in normal form (`normal`).
        failure: likewise; it has no status of `success`.
        unknown_fails: whether a status that is not documented ends the wait.
        accepted: refusals that count as a pass.
    """

    success: frozenset[str] = frozenset(SUCCESS)
    failure: frozenset[str] = frozenset(FAILURE)
    unknown_fails: bool = False
    accepted: frozenset[Accept] = frozenset()

    def accepts(self, refusal: Refusal | None) -> bool:
        """Whether a refusal counts as a pass."""
        return refusal is not None and refusal.accept in self.accepted

    def decide(self, answer: ScanReading) -> Decision:
        """What `answer` amounts to."""
        return next(acceptor.decision for acceptor in ACCEPTORS if acceptor.takes(self, answer))

    def settled(self, answer: ScanReading) -> bool:
        """Whether `answer` ends the wait."""
        decision = self.decide(answer)
        return decision in DECIDED or (decision is Decision.UNKNOWN and self.unknown_fails)

    def is_another_uploads(self, first: ScanReading, since_upload: float) -> bool:
        """Return whether the first reading of an upload's scan shows a scan that was final before the upload.

        Both dates are from one response, so the clock of this machine does not count.

        Args:
            first: the first reading of the scan.
            since_upload: seconds since the upload began, on a monotonic clock.
        """
        return self.settled(first) and first.age is not None and first.age > since_upload + SLACK

    def warning(self, answer: ScanReading, naming: Naming, *, first: bool) -> str | None:
        """Return a warning without the scan's name, as safe text; None if there is nothing to warn of.

        Args:
            answer: the newest.
            naming: how texts name an option.
            first: whether it is the first one of this scan.
        """
        decision = self.decide(answer)
        if first and self.settled(answer) and answer.age is not None and answer.age > OLD:
            return (
                f"was finished {seconds(answer.age)} before the gate first asked for it. Is it the scan of this build? "
                "An old upload response would name an old scan."
            )
        if decision is Decision.UNKNOWN and not self.unknown_fails:
            advice = naming.fill(UNDOCUMENTED)
            return f"has the status {answer.status}, which is not documented. The gate waits for the next one. {advice}"
        if decision is Decision.IN_FLIGHT and normal(answer.status) == QUEUED_FOR_DELETE:
            return "is queued to be deleted. The gate waits for what comes of it."
        return None
