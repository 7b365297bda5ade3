"""The timeline as rectangles, in per cent of the page's width, so that it fits a phone and a wall without a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gate.reporters.page.colours import check_colour, status_colour
from gate.text.sanitizer import shorten
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gate.judge.checks import CheckVerdict
    from gate.judge.scans import ScanVerdict
    from gate.model.history import History

PHASES: Final = 30  # drawn of one scan; with many scans fewer, `ALL_PHASES` together, but at least `FEWEST` each
ALL_PHASES: Final = 300
FEWEST: Final = 9
STATUS: Final = 32  # characters of a status or a name in the drawing
TALL, STRIP, OUTAGE = 40, 22, 6  # pixels: the bar of a single scan, of each of several, and of an outage
GAP: Final = 4  # pixels between a bar and its outages
SLIVER: Final = 0.4  # the least width in per cent; a narrower rectangle could not be seen


class Rectangle(NamedTuple):
    """A phase or an outage: `x` and `width` in per cent, `y` and `height` in pixels, a colour's name, and words."""

    x: str
    width: str
    colour: str
    title: str
    y: int
    height: int


class Lane(NamedTuple):
    """The row of a scan or a check; with its outages it is `height` pixels high, without them `bar`."""

    name: str
    title: str
    part: ScanVerdict | CheckVerdict
    bar: int
    height: int
    rectangles: list[Rectangle]


class Drawing(NamedTuple):
    """A row for each scan, then for each check with more than one request; all to one scale of `whole` seconds."""

    lanes: list[Lane]
    whole: float


class _Scale(NamedTuple):
    """A scale `whole` seconds wide for a wait that began at `began`; draws at most `most` phases, `bar` pixels high."""

    whole: float
    began: float
    bar: int
    most: int
    colour: Callable[[str], str]

    def lane(self, part: ScanVerdict | CheckVerdict, name: str, title: str) -> Lane:
        """Return the row of a scan or a check."""
        phases, outages = list(self._phases(part.history)), list(self._outages(part.history))
        return Lane(name, title, part, self.bar, self.bar + (GAP + OUTAGE) * bool(outages), phases + outages)

    def _rectangle(self, start: float, length: float, colour: str, words: tuple[str, str], **place: int) -> Rectangle:
        # It ends within the drawing.
        width = min(max(100 * length / self.whole, SLIVER), 100.0)
        x = min(100 * (self.began + start) / self.whole, 100 - width)
        title = f"{words[0]} for {seconds(length)}, from {seconds(start)}{words[1]}"
        return Rectangle(f"{x:.2f}%", f"{width:.2f}%", colour, title, **place or {"y": 0, "height": self.bar})

    def _phases(self, history: History[Any, Any]) -> Iterator[Rectangle]:
        drawn = self.most if len(history.phases) <= self.most else self.most - 1
        for index, phase in enumerate(history.phases[:drawn]):
            words = shorten(phase.status, STATUS), f", {count(phase.polls, 'poll')}"
            yield self._rectangle(phase.first_seen, history.lasted(index), self.colour(phase.status), words)
        rest = history.phases[drawn:]
        if rest:
            start = rest[0].first_seen
            yield self._rectangle(start, history.elapsed - start, "other", (f"{len(rest)} more statuses", ""))

    def _outages(self, history: History[Any, Any]) -> Iterator[Rectangle]:
        place = {"y": self.bar + GAP, "height": OUTAGE}
        for outage in history.outages[: self.most // 2]:
            words = "Outage", f", {count(outage.polls, 'failed poll')}: {shorten(outage.newest.what, 2 * STATUS)}"
            yield self._rectangle(outage.began, history.outage_lasted(outage), "unknown", words, **place)


def draw(scans: Sequence[ScanVerdict], checks: Sequence[CheckVerdict] = ()) -> Drawing | None:
    """Return the timeline; None if nothing took any time."""
    checks = [check for check in checks if check.history.polls > 1]
    waited = max((scan.history.elapsed for scan in scans), default=0.0)
    whole = waited + max((check.history.elapsed for check in checks), default=0.0)
    if not whole or (not checks and all(scan.history.polls <= 1 for scan in scans)):
        return None
    rows = len(scans) + len(checks)
    most = max(FEWEST, min(PHASES, ALL_PHASES // rows))
    of_scans = _Scale(whole, 0.0, TALL if rows == 1 else STRIP, most, status_colour)
    of_checks = of_scans._replace(began=waited, colour=check_colour)
    lanes = []
    for scan in scans:
        number, name = scan.target.pending_scan_id, shorten(scan.name or "", STATUS)
        title = f"Pending scan {number}, its statuses drawn to scale"
        lanes.append(of_scans.lane(scan, f"#{number} {name}".rstrip(), title))
    for check in checks:
        name = shorten(check.subject, 2 * STATUS)
        title = f"{name}: how long ThreadFix's response was stale, drawn to scale"
        lanes.append(of_checks.lane(check, name, title))
    return Drawing(lanes, whole)
