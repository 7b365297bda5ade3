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
    """The content of the live line: the phases of the first undecided wait, and the number of decided waits.

    Attributes:
        phases: each status and the seconds that it has lasted.
        decided: the number of decided waits.
        waits: the number of waits.
        left: seconds until the deadline.
        outage: whether the newest poll failed.
        subject: the name of the wait; empty for a pending scan.
    """

    phases: tuple[tuple[str, float], ...]
    decided: int
    waits: int
    left: float
    outage: bool
    subject: str = ""

    @classmethod
    def of(cls, histories: Sequence[History[Any, Any]], left: float) -> Progress:
        """How far waits are."""
        running = [history for history in histories if history.ended is None]
        first = running[0] if running else None
        return cls(
            phases=tuple((phase.status, first.lasted(i)) for i, phase in enumerate(first.phases)) if first else (),
            decided=len(histories) - len(running),
            waits=len(histories),
            left=left,
            outage=bool(first and first.outages and first.outages[-1].ended is None),
            subject="" if first is None or isinstance(first.target, Target) else str(first.target),
        )


@dataclass(frozen=True, slots=True)
class Sending:
    """The state of a file's upload.

    Attributes:
        file: the file.
        number: its place among the files, from 1.
        files: the number of files.
        sent: bytes so far.
        elapsed: seconds since its upload began.
    """

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
    def speed(self) -> float | None:
        """Bytes per second since the upload began; None if nothing was sent yet."""
        return self.sent / self.elapsed if self.sent and self.elapsed else None

    @property
    def left(self) -> float | None:
        """Seconds until all of it is sent; None if unknown."""
        return (self.file.size - self.sent) / self.speed if self.speed else None

    @property
    def numbers(self) -> str:
        """The share, the speed and the time left, for a person."""
        speed = f", {size(self.speed)}/s" if self.speed else ""
        left = f", {seconds(self.left)} left" if self.left else ""
        return f"{int(self.share * 100)}% of {size(self.file.size)}{speed}{left}"
