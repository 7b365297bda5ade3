"""The timeline of a scan's statuses, drawn to scale with text: it needs no picture, no script and no colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gate.text import seconds, shorten

if TYPE_CHECKING:
    from gate.history import History

WIDTH: Final = 20
LABEL: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the timeline; `start` and `length` in seconds since the wait began."""

    label: str
    start: float
    length: float


def walked(history: History) -> list[Bar]:
    """The statuses in the order seen, a bar for each phase."""
    return [Bar(phase.status, phase.first_seen, history.lasted(i)) for i, phase in enumerate(history.phases)]


def troubled(history: History) -> list[Bar]:
    """The stretches of trouble, a bar for each outage."""
    ends = [history.elapsed if outage.ended is None else outage.ended for outage in history.outages]
    return [
        Bar("(trouble)", outage.began, end - outage.began) for outage, end in zip(history.outages, ends, strict=True)
    ]


def draw(history: History) -> str:
    """The timeline as lines of `LABEL` + `WIDTH` characters and the length of each stretch."""
    whole = history.elapsed or 1.0
    lines = []
    for bar in walked(history) + troubled(history):
        # A stretch starts on a whole cell, the one that holds its beginning, and ends on the right eighth of one.
        cell = min(int(bar.start / whole * WIDTH), WIDTH - 1)
        filled = max(1, round((bar.start + bar.length) / whole * WIDTH * 8) - cell * 8)
        drawn = " " * cell + "█" * (filled // 8) + _EIGHTHS[filled % 8].strip()
        lines.append(f"{shorten(bar.label, LABEL):<{LABEL}} {drawn:<{WIDTH}} {seconds(bar.length):>6}")
    return "\n".join(lines)
