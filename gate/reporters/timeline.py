"""The timeline of a wait's statuses, drawn to scale with text: it needs no picture, no script and no colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gate.text.sanitizer import shorten
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from gate.model.history import History

WIDTH: Final = 20
LABEL: Final = 20
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def outages(history: History[Any, Any]) -> list[tuple[str, str]]:
    """Return the time and the newest error of each outage, in words."""
    lines = []
    for outage in history.outages:
        when = f"at {seconds(outage.began)} for {seconds(history.outage_lasted(outage))}"
        end = "not over" if outage.ended is None else "recovered"
        lines.append((f"{when} ({count(outage.polls, 'failed poll')}), {end}", outage.newest.what))
    return lines


def draw(history: History[Any, Any], most: int = 40) -> str:
    """Return the timeline as lines: a label, the length, and the bar last, so that a phone cuts off the bar first.

    At most `most` statuses and outages are drawn; the last line counts the others.
    """
    whole = history.elapsed or 1.0
    bars = [(phase.status, phase.first_seen, history.lasted(index)) for index, phase in enumerate(history.phases)]
    bars += [("(outage)", outage.began, history.outage_lasted(outage)) for outage in history.outages]
    lines = []
    for label, start, length in bars[:most]:
        # A bar starts on the whole cell that holds its beginning, and ends on the right eighth of a cell.
        cell = min(int(start / whole * WIDTH), WIDTH - 1)
        filled = max(1, round((start + length) / whole * WIDTH * 8) - cell * 8)
        drawn = " " * cell + "█" * (filled // 8) + _EIGHTHS[filled % 8].strip()
        lines.append(f"{shorten(label, LABEL):<{LABEL}} {seconds(length):>6} {drawn}")
    if len(bars) > most:
        lines.append(f"… and {len(bars) - most} more")
    return "\n".join(lines)
