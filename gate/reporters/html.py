"""The page for people: one HTML file with the verdict, the timeline drawn to scale, and the facts; nothing is loaded.

The only importer of Jinja2. The template has the words and the order, this module the numbers: everything in it is laid
out in per cent of the drawing's width, so that the timeline fits a phone and a wall without a script. Some CI systems
show the page without its style sheet, so colours also stand as attributes in the drawing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gate.reasons import Kind
from gate.reporters import timeline
from gate.text import shorten
from gate.threadfix.statuses import normal, words
from gate.wording import count, moment, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.build import Build
    from gate.history import History, Outage
    from gate.reporters.timeline import Bar
    from gate.verdict import ScanVerdict, Verdict

LANES: Final = 100
"""Scans that are drawn and listed; the result document has all."""
SEGMENTS: Final = 30
"""Statuses that are drawn of one scan; fewer where there are many scans, `ALL_SEGMENTS` in all, `FEWEST` at least."""
ALL_SEGMENTS: Final = 300
FEWEST: Final = 9
OUTAGES: Final = 20
"""Stretches of trouble that are listed."""
MISTAKES: Final = 40
STATUS: Final = 32
NAME: Final = 120
ROW: Final = 200
"""Characters of a status, of a scan's name, and of the sentence about one of several scans."""

STRIP, TALL = 22, 40
"""Height of a bar in pixels: of one among several, of one alone."""
MARKS: Final = 12
"""Height below a bar where there was trouble."""
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

COLOURS: Final = {
    "QUEUED": "#5f6b7a",
    "UPLOADED": "#0e7490",
    "FINDINGS_GENERATING": "#0369a1",
    "CHANNEL_MERGING": "#1d4ed8",
    "APPLICATION_MERGING": "#4338ca",
    "APPLICATION_MERGED": "#6d28d9",
    "LINKING_DEFECTS": "#86198f",
    "DONE": "#15803d",
    "FINISHED_FINDING_PULLING": "#15803d",
    "SCAN_INTERRUPTED": "#b91c1c",
    "SCAN_QUEUED_FOR_DELETE": "#b45309",
    "SCAN_DELETED": "#b91c1c",
}
"""What a status is drawn in where there is no style sheet."""
OTHER: Final = "#57534e"
ENDS: Final = {Kind.PASS: "#15803d", Kind.FAIL: "#b91c1c", Kind.UNKNOWN: "#b45309"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a lane; `x` and `width` in per cent of the drawing.

    Attributes:
        style: class of the style sheet.
        colour: what it is drawn in without one.
        label: what stands in it; empty where nothing ever fits.
        fits: class of the screens on which the label fits, as in `ROOM`.
        told: what it is, in words.
    """

    x: str
    width: str
    style: str
    colour: str
    label: str
    fits: str
    told: str
    tick: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """One scan's row of the drawing; `bar` and `height`, which is that of the whole row, in pixels.

    Attributes:
        end: what it came to, at `x`.
        colour: of that, where there is no style sheet.
        told: the row in words, for who cannot see it.
    """

    scan: ScanVerdict
    name: str
    took: str
    end: str
    colour: str
    x: str
    bar: int
    height: int
    segments: tuple[Segment, ...]
    failure: tuple[Segment, ...]
    told: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of the axis; `anchor` says which side of its label is at `x`."""

    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the table of statuses."""

    status: str
    words: str
    style: str
    colour: str
    began: str
    took: str
    polls: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """The timeline: rows of one scale, and the marks of their common axis."""

    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]


def render(verdict: Verdict) -> str:
    """The page; under 60 KiB for one scan, and bounded for many, whatever the server says."""
    loader = PackageLoader("gate.reporters", ".")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "shorten": shorten, "marked": marked, "moment": moment}
    style, _, _ = loader.get_source(environment, "page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        verdict=verdict,
        conclusion=verdict.conclusion,
        scans=verdict.scans[:LANES],
        more=max(0, len(verdict.scans) - LANES),
        alone=verdict.scans[0] if len(verdict.scans) == 1 else None,
        drawing=draw(verdict.scans[:LANES]),
        steps=list(_steps(verdict.scans[0])) if len(verdict.scans) == 1 else [],
        legend=_legend(verdict.scans[:LANES]),
        failure=_outages(verdict.scans),
        outages=sum(len(scan.history.outages) for scan in verdict.scans),
        facts=list(_facts(verdict)),
        ends=ENDS,
        limits={"status": STATUS, "name": NAME, "row": ROW, "mistakes": MISTAKES},
        style=Markup(style),  # noqa: S704 - our own file
        digest=digest,
        count=count,
    )


def marked(text: str) -> list[tuple[str, str]]:
    """A sentence of ours in pieces, each with the element that its Markdown asks for: `code`, `em` or none."""
    pieces = []
    for piece in re.split(r"(`[^`]+`|\*[^*]+\*)", text):
        element = {"`": "code", "*": "em"}.get(piece[:1], "") if len(piece) > 2 and piece[0] == piece[-1] else ""  # noqa: PLR2004
        pieces.append((element, piece[1:-1] if element else piece))
    return pieces


def draw(scans: Sequence[ScanVerdict]) -> Drawing | None:
    """The timeline of the scans, one scale for all; None where nothing was seen that took any time."""
    whole = max((scan.history.elapsed for scan in scans), default=0.0)
    if not whole or all(scan.history.polls <= 1 for scan in scans):
        return None
    most = max(FEWEST, min(SEGMENTS, ALL_SEGMENTS // len(scans)))
    bar = TALL if len(scans) == 1 else STRIP
    return Drawing(tuple(_lane(scan, whole, bar, most) for scan in scans), tuple(_axis(whole)))


def _lane(scan: ScanVerdict, whole: float, bar: int, most: int) -> Lane:
    history = scan.history
    segments = tuple(_segments(history, whole, most))
    failure = tuple(
        _segment(part, whole, "trouble", ENDS[Kind.UNKNOWN], _outage(part, outage))
        for part, outage in list(zip(timeline.outage_bars(history), history.outages, strict=True))[: most // 2]
    )
    return Lane(
        scan=scan,
        name=shorten(scan.name or "", STATUS),
        took=seconds(history.elapsed),
        end=scan.conclusion.kind.value,
        colour=ENDS[scan.conclusion.kind],
        x=_percent(history.elapsed / whole),
        bar=bar,
        height=bar + (MARKS if failure else 0),
        segments=segments,
        failure=failure,
        told="; ".join(part.told for part in segments + failure),
    )


def _segments(history: History, whole: float, most: int) -> Iterator[Segment]:
    walked = timeline.walked(history)
    for part, phase in list(zip(walked, history.phases, strict=True))[: most if len(walked) <= most else most - 1]:
        told = f"{shorten(part.label, STATUS)} for {seconds(part.length)}, from {seconds(part.start)}, "
        style, colour = _style_of(phase.status)
        yield _segment(part, whole, style, colour, told + count(phase.polls, "poll"), shorten(part.label, STATUS))
    rest = walked[most - 1 :] if len(walked) > most else []
    if rest:
        length = rest[-1].start + rest[-1].length - rest[0].start
        label = f"{len(rest)} more"
        told = f"{len(rest)} more statuses for {seconds(length)}, from {seconds(rest[0].start)}"
        yield _segment(timeline.Bar(label, rest[0].start, length), whole, "other", OTHER, told, label)


def _segment(part: Bar, whole: float, style: str, colour: str, told: str, label: str = "") -> Segment:  # noqa: PLR0913, PLR0917
    share = part.length / whole
    needed = len(label) * LETTER + 10
    fits = next((style for style, room in ROOM.items() if needed <= share * room), None)
    return Segment(
        x=_percent(part.start / whole),
        width=_percent(share),
        style=style,
        colour=colour,
        label="" if fits is None else label,
        fits=fits or "",
        told=told,
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


def _steps(scan: ScanVerdict) -> Iterator[Step]:
    walked = timeline.walked(scan.history)
    for part, phase in list(zip(walked, scan.history.phases, strict=True))[:SEGMENTS]:
        style, colour = _style_of(phase.status)
        label = shorten(part.label, STATUS)
        yield Step(label, words(part.label), style, colour, seconds(part.start), seconds(part.length), phase.polls)


def _legend(scans: Sequence[ScanVerdict]) -> list[tuple[str, str, str]]:
    """Each documented status that is drawn, with its class and colour; all others are one."""
    seen = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, *_style_of(status)) for status in COLOURS if status in seen]
    return known + ([("another status", *_style_of(""))] if seen - set(COLOURS) else [])


def _outages(scans: Sequence[ScanVerdict]) -> list[tuple[int, str, str]]:
    found = [(scan.target.pending_scan_id, *told) for scan in scans for told in timeline.failure(scan.history)]
    return [(number, when, shorten(what, ROW)) for number, when, what in found[:OUTAGES]]


def _facts(verdict: Verdict) -> Iterator[tuple[str, str | Markup]]:
    if verdict.server:
        yield "ThreadFix", verdict.server
    if verdict.deciding_scan:
        yield "application", str(verdict.deciding_scan.target.application_id)
    if len(verdict.scans) == 1:
        (scan,) = verdict.scans
        yield "pending scan", str(scan.target.pending_scan_id)
        if scan.scan_id:
            yield "scan", str(scan.scan_id)
        if scan.name:
            yield "name", shorten(scan.name, NAME)
    elif verdict.scans:
        kinds = [scan.conclusion.kind for scan in verdict.scans]
        told = ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in Kind if kind in kinds)
        yield "pending scans", f"{len(kinds)} ({told})"
    if verdict.scans:
        yield "polls", f"{verdict.polls}, {verdict.errors} of them in trouble" if verdict.errors else f"{verdict.polls}"
    if verdict.build:
        yield "build", _build(verdict.build)
    yield "took", seconds(verdict.elapsed)
    yield "began", moment(verdict.started_at)
    yield "ended", moment(verdict.finished_at)
    yield "exit code", str(verdict.conclusion.exit_code)


def _build(build: Build) -> str | Markup:
    """Which build it was, its commit cut as people cut it, with a link to its run."""
    commit = build.commit[:12] if build.commit else None
    text = ", ".join(fact for fact in (build.system, build.repository, build.ref, commit) if fact)
    if not build.url:
        return text
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(build.url, text)


def _outage(part: Bar, outage: Outage) -> str:
    polls = count(outage.polls, "poll")
    what = shorten(outage.newest.what, STATUS * 2)
    return f"Trouble for {seconds(part.length)}, from {seconds(part.start)}, {polls}: {what}"


def _style_of(status: str) -> tuple[str, str]:
    """The class and the colour of a status."""
    known = COLOURS.get(normal(status))
    return (normal(status).lower().replace("_", "-"), known) if known else ("other", OTHER)


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"
