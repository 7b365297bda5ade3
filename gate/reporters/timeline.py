"""The timeline of a wait's statuses, drawn to scale with text: it needs no picture, no script and no colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gate.text.sanitizer import shorten
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from gate.model.history import History, Outage

WIDTH: Final = 20
LABEL: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of the timeline.

    Attributes:
        label: a status, or an outage.
        start: seconds since the wait began.
        length: in seconds.
    """

    label: str
    start: float
    length: float


def status_bars(history: History[Any, Any]) -> list[Bar]:
    """Return a bar for each phase, in the order seen."""
    return [Bar(phase.status, phase.first_seen, history.lasted(i)) for i, phase in enumerate(history.phases)]


def outage_bars(history: History[Any, Any]) -> list[Bar]:
    """Return a bar for each outage."""
    return [Bar("(outage)", outage.began, history.outage_end(outage) - outage.began) for outage in history.outages]


def outages(history: History[Any, Any]) -> list[tuple[str, str]]:
    """Return the time and the newest error of each outage, in words."""
    return [_outage(bar, outage) for bar, outage in zip(outage_bars(history), history.outages, strict=True)]


def _outage(bar: Bar, outage: Outage) -> tuple[str, str]:
    end = "not over" if outage.ended is None else "recovered"
    polls = count(outage.polls, "failed poll")
    return f"at {seconds(bar.start)} for {seconds(bar.length)} ({polls}), {end}", outage.newest.what


def draw(history: History[Any, Any], most: int = 40) -> str:
    """Return the timeline as lines: a label, the length, and the bar last, so that a phone cuts off the bar first.

    Args:
        history: of a wait.
        most: stretches that are drawn; the last line counts the others.
    """
    whole = history.elapsed or 1.0
    bars = status_bars(history) + outage_bars(history)
    lines = []
    for bar in bars[:most]:
        # A stretch starts on the whole cell that holds its beginning, and ends on the right eighth of a cell.
        cell = min(int(bar.start / whole * WIDTH), WIDTH - 1)
        filled = max(1, round((bar.start + bar.length) / whole * WIDTH * 8) - cell * 8)
        drawn = " " * cell + "█" * (filled // 8) + _EIGHTHS[filled % 8].strip()
        lines.append(f"{shorten(bar.label, LABEL):<{LABEL}} {seconds(bar.length):>6} {drawn}")
    if len(bars) > most:
        lines.append(f"… and {len(bars) - most} more")
    return "\n".join(lines)
