"""The timeline of a wait's statuses, drawn to scale with text: it needs no picture, no script and no colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gate.text import shorten
from gate.wording import count, seconds

if TYPE_CHECKING:
    from gate.history import History, Outage

WIDTH: Final = 20
LABEL: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the timeline.

    Attributes:
        label: a status, or what else it was.
        start: seconds since the wait began.
        length: in seconds.
    """

    label: str
    start: float
    length: float


def status_bars(history: History[Any, Any]) -> list[Bar]:
    """The statuses in the order seen, a bar for each phase."""
    return [Bar(phase.status, phase.first_seen, history.lasted(i)) for i, phase in enumerate(history.phases)]


def outage_bars(history: History[Any, Any]) -> list[Bar]:
    """The outages, a bar for each."""
    return [Bar("(outage)", outage.began, history.outage_end(outage) - outage.began) for outage in history.outages]


def outages(history: History[Any, Any]) -> list[tuple[str, str]]:
    """Each outage in words: when it was, and its newest error."""
    return [_outage(bar, outage) for bar, outage in zip(outage_bars(history), history.outages, strict=True)]


def _outage(bar: Bar, outage: Outage) -> tuple[str, str]:
    end = "not over" if outage.ended is None else "recovered"
    polls = count(outage.polls, "failed poll")
    return f"at {seconds(bar.start)} for {seconds(bar.length)} ({polls}), {end}", outage.newest.what


def draw(history: History[Any, Any], most: int = 40) -> str:
    """The timeline as lines: a label, the length of the stretch, and its bar, so that a phone cuts off the bar first.

    Args:
        history: what to draw.
        most: stretches that are drawn; the last line says how many more there are.
    """
    whole = history.elapsed or 1.0
    bars = status_bars(history) + outage_bars(history)
    lines = []
    for bar in bars[:most]:
        # A stretch starts on a whole cell, the one that holds its beginning, and ends on the right eighth of one.
        cell = min(int(bar.start / whole * WIDTH), WIDTH - 1)
        filled = max(1, round((bar.start + bar.length) / whole * WIDTH * 8) - cell * 8)
        drawn = " " * cell + "█" * (filled // 8) + _EIGHTHS[filled % 8].strip()
        lines.append(f"{shorten(bar.label, LABEL):<{LABEL}} {seconds(bar.length):>6} {drawn}")
    if len(bars) > most:
        lines.append(f"… and {len(bars) - most} more")
    return "\n".join(lines)
