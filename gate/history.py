"""What was seen of one pending scan, and when: the record that the wait writes and the verdict is read from.

Times are seconds since the wait began. `None` means "not known".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from gate.reasons import Reason


@dataclass(frozen=True, slots=True)
class Target:
    """One pending scan of one application, by ThreadFix's ids."""

    application_id: int
    pending_scan_id: int

    def __str__(self) -> str:
        return f"pending scan {self.pending_scan_id} of application {self.application_id}"


class Reading(Protocol):
    """What a good response says, whatever it is about."""

    @property
    def status(self) -> str:
        """One word; a history has a phase for each stretch in which it stays the same."""
        ...


R = TypeVar("R", bound=Reading)


@dataclass(frozen=True, slots=True)
class ScanReading:
    """ThreadFix's answer about the pending scan that was asked for. Its texts are already safe (`gate.text`).

    Attributes:
        status: as the server wrote it, e.g. `FINDINGS_GENERATING`.
        error: the server's own flag; true means failure beside any status.
        error_message: what the server says went wrong.
        scan_id: the finished scan; ThreadFix 2.7.7 and later give it with DONE.
        name: the scan's name, usually that of the uploaded file.
        message: the server's words for the status.
        age: seconds since the status was reached, by the server's own clock.
    """

    status: str
    error: bool = False
    error_message: str | None = None
    scan_id: int | None = None
    name: str | None = None
    message: str | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Anything that is not a good answer.

    Attributes:
        reason: what it amounts to if nothing better comes.
        what: one sentence for a person; safe text.
        hint: what to do about it, where that can be said better than for the reason as a whole.
        final: asking again cannot help.
        retry_after: seconds that the server asks to be left alone.
        meaning: what it means, where that can be said better than for the reason as a whole.
        timed_out: the time that the request was given ended first.
    """

    reason: Reason
    what: str
    hint: str | None = None
    final: bool = False
    retry_after: float | None = None
    meaning: str | None = None
    timed_out: bool = False


Observation = ScanReading | Failure

UNASKED: Final = Failure(Reason.INTERNAL, "ThreadFix has not been asked yet.")
"""What stands for the newest observation before the first one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch in which the status did not change.

    Attributes:
        status: as the server wrote it.
        first_seen: when it was first seen.
        last_seen: when it was last seen.
        polls: responses that had it.
        errors: failed polls before the next status.
    """

    status: str
    first_seen: float
    last_seen: float
    polls: int = 1
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of failed polls: from its first error to the good response that ended it, if any did.

    Attributes:
        began: when its first error came.
        newest: its newest error.
        polls: how many failed.
        ended: when a good response ended it; None where none did.
    """

    began: float
    newest: Failure
    polls: int = 1
    ended: float | None = None


class StopCause(StrEnum):
    """Why the wait stopped asking."""

    DECIDED = "decided"
    LIMIT = "limit"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    FAIL_FAST = "fail-fast"


@dataclass(frozen=True, slots=True)
class History(Generic[R]):
    """Everything one wait saw; generic in what it reads.

    Attributes:
        target: which pending scan.
        ended: why the wait stopped asking; None while it goes on.
        elapsed: how long the wait took, or has taken so far.
        polls: requests made.
        errors: those of them that failed.
        phases: every status, in the order seen.
        outages: every stretch of failed polls, in the order in which they began.
        newest: the last observation, good or bad.
        reading: the last good one.
    """

    target: Target
    ended: StopCause | None
    elapsed: float = 0.0
    polls: int = 0
    errors: int = 0
    phases: tuple[Phase, ...] = ()
    outages: tuple[Outage, ...] = ()
    newest: R | Failure = UNASKED
    reading: R | None = None

    def lasted(self, index: int) -> float:
        """Seconds that phase `index` lasted: to the first sight of the next one, or to the end."""
        until = self.phases[index + 1].first_seen if index + 1 < len(self.phases) else self.elapsed
        return until - self.phases[index].first_seen

    def outage_end(self, outage: Outage) -> float:
        """When an outage ended: with the good response that ended it, or with the wait."""
        return self.elapsed if outage.ended is None else outage.ended


ScanHistory = History[ScanReading]
