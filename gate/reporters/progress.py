"""The progress of the gate as data, for the live line of a terminal and the heartbeat of a log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gate.model.subjects import Target
from gate.text.wording import seconds, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.model.events import UploadProgress
    from gate.model.history import History
    from gate.model.subjects import ScanFile


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of waits: the first undecided wait, and the number of decided waits."""

    phases: tuple[tuple[str, float], ...]  # each status, and the seconds that it has lasted
    decided: int
    waits: int
    left: float  # seconds until the deadline
    outage: bool  # whether the newest poll failed
    subject: str = ""  # the name of the wait; empty for a pending scan

    @classmethod
    def of(cls, histories: Sequence[History[Any, Any]], left: float) -> Progress:
        """Return the progress of the waits with these histories."""
        running = [history for history in histories if history.ended is None]
        decided, waits = len(histories) - len(running), len(histories)
        if not running:
            return cls((), decided, waits, left, outage=False)
        first = running[0]
        phases = tuple((phase.status, first.lasted(index)) for index, phase in enumerate(first.phases))
        outage = bool(first.outages and first.outages[-1].ended is None)
        subject = "" if isinstance(first.target, Target) else str(first.target)
        return cls(phases, decided, waits, left, outage, subject)


@dataclass(frozen=True, slots=True)
class Sending:
    """The upload of a file, the `number`th of `files`: `sent` bytes in `elapsed` seconds."""

    file: ScanFile
    number: int = 1
    files: int = 1
    sent: int = 0
    elapsed: float = 0.0

    def after(self, event: UploadProgress) -> Sending:
        """Return the state after an event."""
        # The request is a little longer than the file.
        return replace(self, sent=min(event.sent, self.file.size), elapsed=event.elapsed)

    @property
    def is_sent(self) -> bool:
        """Whether only ThreadFix's response is missing."""
        return self.sent >= self.file.size

    @property
    def share(self) -> float:
        """The part that has been sent, from 0 to 1."""
        return self.sent / self.file.size

    @property
    def numbers(self) -> str:
        """The share, and the average speed and the time left if they are known, for people."""
        numbers = f"{int(self.share * 100)}% of {size(self.file.size)}"
        if self.sent and self.elapsed:
            speed = self.sent / self.elapsed
            numbers += f", {size(speed)}/s, {seconds((self.file.size - self.sent) / speed)} left"
        return numbers
