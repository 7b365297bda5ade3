"""The timeline of a verdict as numbers: what is drawn where, in per cent of the drawing's width.

So it fits a phone and a wall without a script.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gate.reporters import timeline
from gate.reporters.page.colours import KIND_PAINTS, OUTAGE_PAINT, Paint, check_paint, paint, status_paint
from gate.text import shorten
from gate.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gate.conclusions import Conclusion
    from gate.history import History, Outage
    from gate.parts.checks import CheckVerdict
    from gate.parts.scans import ScanVerdict
    from gate.reporters.timeline import Bar

SEGMENTS: Final = 30
"""Statuses that are drawn of one scan; fewer where there are many scans, `ALL_SEGMENTS` in all, `FEWEST` at least."""
ALL_SEGMENTS: Final = 300
FEWEST: Final = 9
STATUS: Final = 32
"""Characters of a status or a name in the drawing."""

STRIP, TALL = 22, 40
"""Height of a bar in pixels: of one among several, of one alone."""
MARKS: Final = 12
"""Height below a bar where there was an outage."""
ROOM: Final = {"": 250.0, "mid": 530.0, "roomy": 820.0}
"""Pixels that the drawing has at least, by the class of what is shown: anywhere, on a tablet, on a wide screen."""
LETTER: Final = 7.2
"""Pixels of a letter in a bar, generously."""
SLIVER: Final = 0.4
"""Per cent below which a stretch is drawn as a tick, or nobody would see it."""
STEPS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    10800,
    21600,
    43200,
    86400,
)
"""Seconds between two marks of the axis, as people read a clock."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a lane; `x` and `width` in per cent of the drawing.

    Attributes:
        x: where it begins.
        width: how wide it is.
        paint: what it is drawn in.
        label: what stands in it; empty where nothing ever fits.
        fits: class of the screens on which the label fits, as in `ROOM`.
        description: what it is, in words.
        tick: whether it is too narrow to be drawn to scale.
    """

    x: str
    width: str
    paint: Paint
    label: str
    fits: str
    description: str
    tick: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of the drawing, of one scan or one check; `bar` and `height`, which is that of the whole row, in pixels.

    Attributes:
        name: what stands over it.
        title: what it shows, in words.
        outcome: the reason, and how long the wait was.
        end: the verdict on it, which stands where the row ends.
        paint: of the verdict.
        began: where the row begins.
        width: how wide it is.
        x: where it ends.
        bar: height of its bar.
        height: height of the bar and of the outages under it.
        segments: its statuses.
        outages: its outages.
        description: the row in words, for readers who cannot see it.
    """

    name: str
    title: str
    outcome: str
    end: str
    paint: Paint
    began: str
    width: str
    x: str
    bar: int
    height: int
    segments: tuple[Segment, ...]
    outages: tuple[Segment, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of the axis.

    Attributes:
        x: where it is.
        label: the time since the wait began, in words.
        anchor: which side of the label is at `x`: start, middle or end.
    """

    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The timeline.

    Attributes:
        lanes: a row for each scan and for each check that took any time, all to one scale.
        marks: of their common axis.
    """

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class _Scale:
    """How waits are drawn.

    Attributes:
        whole: seconds from one side to the other.
        began: when the waits began, in seconds since the first one did.
        bar: height of a bar.
        most: statuses that are drawn of one wait.
        painted: the paint of a status.
    """

    whole: float
    began: float
    bar: int
    most: int
    painted: Callable[[str], Paint]


def draw(scans: Sequence[ScanVerdict], checks: Sequence[CheckVerdict] = ()) -> Drawing | None:
    """The timeline of the scans and of the checks after them, one scale for all.

    None where nothing was seen that took any time. A check that was fresh at once has no row.
    """
    checks = [check for check in checks if check.history.polls > 1]
    waited = max((scan.history.elapsed for scan in scans), default=0.0)
    whole = waited + max((check.history.elapsed for check in checks), default=0.0)
    if not whole or (not checks and all(scan.history.polls <= 1 for scan in scans)):
        return None
    number = len(scans) + len(checks)
    most = max(FEWEST, min(SEGMENTS, ALL_SEGMENTS // number))
    bar = TALL if number == 1 else STRIP
    of_scans, of_checks = _Scale(whole, 0.0, bar, most, status_paint), _Scale(whole, waited, bar, most, check_paint)
    lanes = [_scan_lane(scan, of_scans) for scan in scans] + [_check_lane(check, of_checks) for check in checks]
    return Drawing(tuple(lanes), tuple(_axis(whole)))


def _scan_lane(scan: ScanVerdict, scale: _Scale) -> Lane:
    number, name = scan.target.pending_scan_id, shorten(scan.name or "", STATUS)
    title = f"Pending scan {number}, its statuses drawn to scale"
    return _lane(f"#{number} {name}".rstrip(), title, scan.conclusion, scan.history, scale)


def _check_lane(check: CheckVerdict, scale: _Scale) -> Lane:
    name = shorten(check.subject, 2 * STATUS)
    title = f"{name}: how long ThreadFix's response was stale, drawn to scale"
    return _lane(name, title, check.conclusion, check.history, scale)


def _lane(name: str, title: str, conclusion: Conclusion, history: History[Any, Any], scale: _Scale) -> Lane:
    segments = tuple(_segments(history, scale))
    outages = tuple(
        _segment(part, scale, OUTAGE_PAINT, _outage(part, outage))
        for part, outage in list(zip(timeline.outage_bars(history), history.outages, strict=True))[: scale.most // 2]
    )
    return Lane(
        name=name,
        title=title,
        outcome=f"{conclusion.reason.value}, {seconds(history.elapsed)}",
        end=conclusion.kind.value,
        paint=KIND_PAINTS[conclusion.kind],
        began=_percent(scale.began / scale.whole),
        width=_percent(history.elapsed / scale.whole),
        x=_percent((scale.began + history.elapsed) / scale.whole),
        bar=scale.bar,
        height=scale.bar + (MARKS if outages else 0),
        segments=segments,
        outages=outages,
        description="; ".join(part.description for part in segments + outages),
    )


def _segments(history: History[Any, Any], scale: _Scale) -> Iterator[Segment]:
    bars = timeline.status_bars(history)
    drawn = scale.most if len(bars) <= scale.most else scale.most - 1
    for part, phase in list(zip(bars, history.phases, strict=True))[:drawn]:
        label, polls = shorten(part.label, STATUS), count(phase.polls, "poll")
        description = f"{label} for {seconds(part.length)}, from {seconds(part.start)}, {polls}"
        yield _segment(part, scale, scale.painted(phase.status), description, label)
    rest = bars[drawn:]
    if rest:
        length = rest[-1].start + rest[-1].length - rest[0].start
        label = f"{len(rest)} more"
        description = f"{len(rest)} more statuses for {seconds(length)}, from {seconds(rest[0].start)}"
        yield _segment(timeline.Bar(label, rest[0].start, length), scale, paint("other"), description, label)


def _segment(part: Bar, scale: _Scale, painted: Paint, description: str, label: str = "") -> Segment:
    share = part.length / scale.whole
    needed = len(label) * LETTER + 10
    fits = next((screens for screens, room in ROOM.items() if needed <= share * room), None)
    return Segment(
        x=_percent((scale.began + part.start) / scale.whole),
        width=_percent(share),
        paint=painted,
        label="" if fits is None else label,
        fits=fits or "",
        description=description,
        tick=share * 100 < SLIVER,
    )


def _axis(whole: float) -> Iterator[Mark]:
    step = next((step for step in STEPS if whole / step <= 5), whole / 4)  # noqa: PLR2004
    times = [number * step for number in range(int(whole / step) + 1)]
    # The end gets a label of its own where there is room for one.
    for time in [*times, whole] if times[-1] / whole < 0.85 else times:  # noqa: PLR2004
        # Rounded as it is drawn, so that mark and label agree on where it is.
        share = round(time / whole, 4)
        # A label in the middle of its mark would leave the drawing at both ends.
        anchor = "start" if not share else "end" if share > 0.94 else "middle"  # noqa: PLR2004
        yield Mark(_percent(share), seconds(time), anchor)


def _outage(part: Bar, outage: Outage) -> str:
    polls = count(outage.polls, "failed poll")
    error = shorten(outage.newest.what, STATUS * 2)
    return f"Outage for {seconds(part.length)}, from {seconds(part.start)}, {polls}: {error}"


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"
