"""How far the gate is, as data, for what moves at a terminal and for the heartbeat of a log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from gate.subjects import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gate.events import UploadProgress
    from gate.history import History
    from gate.subjects import ScanFile

WINDOW: Final = 10.0
"""Seconds over which the speed of an upload is measured."""
SAMPLE: Final = 0.25
"""Seconds between two samples of it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the live line shows: the phases of the first wait that is not decided, and how far the others are.

    Attributes:
        phases: each status and the seconds that it has lasted.
        decided: what is not waited for any more.
        waits: all that is waited for.
        left: seconds until the deadline.
        outage: whether the newest poll failed.
        subject: what the phases are of; empty for a pending scan.
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
    """How far the upload of a file is.

    Attributes:
        file: which file.
        number: its place among the files, from 1.
        files: how many there are.
        sent: bytes so far.
        samples: of the newest `WINDOW` seconds: when, and the bytes that had been sent by then.
    """

    file: ScanFile
    number: int = 1
    files: int = 1
    sent: int = 0
    samples: tuple[tuple[float, int], ...] = ((0.0, 0),)

    def after(self, event: UploadProgress) -> Sending:
        """How far it is after an event."""
        samples = self.samples
        if event.elapsed - samples[-1][0] >= SAMPLE:
            # The newest sample from before the window stays: it is where the window begins.
            old = sum(at <= event.elapsed - WINDOW for at, _ in samples)
            samples = (*samples[max(old - 1, 0) :], (event.elapsed, event.sent))
        # The request is a little longer than the file.
        return replace(self, sent=min(event.sent, self.file.size), samples=samples)

    @property
    def is_sent(self) -> bool:
        """Whether all of it is on its way, so that only ThreadFix's response is missing."""
        return self.sent >= self.file.size

    @property
    def share(self) -> float:
        """The part that has been sent, from 0 to 1."""
        return self.sent / self.file.size

    @property
    def speed(self) -> float | None:
        """Bytes a second; None where it is not known yet, or nothing moves."""
        (began, before), (at, sent) = self.samples[0], self.samples[-1]
        return (sent - before) / (at - began) if sent > before else None

    @property
    def left(self) -> float | None:
        """Seconds until all of it is sent; None where that is not known."""
        return (self.file.size - self.sent) / self.speed if self.speed else None
