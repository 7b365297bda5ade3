"""The timeline as rectangles, in per cent of the page's width, so that it fits a phone and a wall without a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gate.reporters import timeline
from gate.reporters.page.colours import OUTAGE_PAINT, Paint, check_paint, paint, status_paint
from gate.text.sanitizer import shorten
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.model.history import History, Outage
    from gate.model.reasons import Kind
    from gate.reporters.timeline import Bar

PHASES: Final = 30
"""Phases drawn of one scan; with many scans fewer, `ALL_PHASES` together, but at least `FEWEST` each."""
ALL_PHASES: Final = 300
FEWEST: Final = 9
STATUS: Final = 32
"""Characters of a status or a name in the drawing."""
TALL, STRIP, OUTAGE = 40, 22, 6
"""Heights in pixels: of the bar of a single scan, of each of several bars, and of an outage."""
GAP: Final = 4
"""Pixels between a bar and its outages."""
SLIVER: Final = 0.4
"""The least width in per cent. A narrower rectangle could not be seen."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A phase or an outage; `x` and `width` in per cent, `y` and `height` in pixels, `title` in words."""

    x: str
    y: int
    width: str
    height: int
    paint: Paint
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The row of one scan or one check.

    Attributes:
        name: of the scan or the check.
        title: of the row.
        kind: the verdict on it.
        outcome: the reason and the length of the wait.
        bar: height of its bar, in pixels.
        height: of the row, with its outages.
        parts: its phases, then its outages.
        description: the row in words, for screen readers.
    """

    name: str
    title: str
    kind: Kind
    outcome: str
    bar: int
    height: int
    parts: tuple[Rectangle, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A row for each scan, then a row for each check with more than one request, all to one scale.

    Attributes:
        lanes: the rows.
        whole: the length of the scale, in words.
    """

    lanes: tuple[Lane, ...]
    whole: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale of a wait: `whole` seconds wide; the wait began at `began`; at most `most` phases are drawn."""

    whole: float
    began: float
    height: int
    most: int
    painted: Callable[[str], Paint]

    def rectangle(self, bar: Bar, painted: Paint, title: str, *, below: bool = False) -> Rectangle:
        """Return a bar as a rectangle that ends within the drawing."""
        width = min(max(100 * bar.length / self.whole, SLIVER), 100.0)
        x = min(100 * (self.began + bar.start) / self.whole, 100 - width)
        y, height = (self.height + GAP, OUTAGE) if below else (0, self.height)
        return Rectangle(f"{x:.2f}%", y, f"{width:.2f}%", height, painted, title)


def draw(scans: Sequence[ScanVerdict], checks: Sequence[CheckVerdict] = ()) -> Drawing | None:
    """Return the timeline; None if nothing took any time."""
    checks = [check for check in checks if check.history.polls > 1]
    waited = max((scan.history.elapsed for scan in scans), default=0.0)
    whole = waited + max((check.history.elapsed for check in checks), default=0.0)
    if not whole or (not checks and all(scan.history.polls <= 1 for scan in scans)):
        return None
    number = len(scans) + len(checks)
    most = max(FEWEST, min(PHASES, ALL_PHASES // number))
    height = TALL if number == 1 else STRIP
    of_scans = _Scale(whole, 0.0, height, most, status_paint)
    of_checks = _Scale(whole, waited, height, most, check_paint)
    lanes = [_scan_lane(scan, of_scans) for scan in scans] + [_check_lane(check, of_checks) for check in checks]
    return Drawing(tuple(lanes), seconds(whole))


def _scan_lane(scan: ScanVerdict, scale: _Scale) -> Lane:
    number, name = scan.target.pending_scan_id, shorten(scan.name or "", STATUS)
    title = f"Pending scan {number}, its statuses drawn to scale"
    return _lane(f"#{number} {name}".rstrip(), title, scan.conclusion, scan.history, scale)


def _check_lane(check: CheckVerdict, scale: _Scale) -> Lane:
    name = shorten(check.subject, 2 * STATUS)
    title = f"{name}: how long ThreadFix's response was stale, drawn to scale"
    return _lane(name, title, check.conclusion, check.history, scale)


def _lane(name: str, title: str, conclusion: Conclusion, history: History[Any, Any], scale: _Scale) -> Lane:
    outages = [
        scale.rectangle(bar, OUTAGE_PAINT, _outage(bar, outage), below=True)
        for bar, outage in list(zip(timeline.outage_bars(history), history.outages, strict=True))[: scale.most // 2]
    ]
    parts = (*_phases(history, scale), *outages)
    return Lane(
        name=name,
        title=title,
        kind=conclusion.kind,
        outcome=f"{conclusion.reason.value}, {seconds(history.elapsed)}",
        bar=scale.height,
        height=scale.height + (GAP + OUTAGE) * bool(outages),
        parts=parts,
        description="; ".join(part.title for part in parts),
    )


def _phases(history: History[Any, Any], scale: _Scale) -> Iterator[Rectangle]:
    bars = timeline.status_bars(history)
    drawn = scale.most if len(bars) <= scale.most else scale.most - 1
    for bar, phase in list(zip(bars, history.phases, strict=True))[:drawn]:
        title = f"{shorten(bar.label, STATUS)} for {seconds(bar.length)}, from {seconds(bar.start)}"
        yield scale.rectangle(bar, scale.painted(phase.status), f"{title}, {count(phase.polls, 'poll')}")
    rest = bars[drawn:]
    if rest:
        bar = timeline.Bar("", rest[0].start, rest[-1].start + rest[-1].length - rest[0].start)
        title = f"{len(rest)} more statuses for {seconds(bar.length)}, from {seconds(bar.start)}"
        yield scale.rectangle(bar, paint("other"), title)


def _outage(bar: Bar, outage: Outage) -> str:
    polls = count(outage.polls, "failed poll")
    error = shorten(outage.newest.what, 2 * STATUS)
    return f"Outage for {seconds(bar.length)}, from {seconds(bar.start)}, {polls}: {error}"
