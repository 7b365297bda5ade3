"""Renders the page from a verdict: the template has the words and the order, the drawing the numbers."""

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
from gate.reporters.page.colours import (
    KIND_PAINTS,
    OUTAGE_PAINT,
    PALETTE,
    STATUS_COLOURS,
    Paint,
    status_paint,
    style_sheet,
)
from gate.reporters.page.drawing import SEGMENTS, STATUS, draw
from gate.text import shorten
from gate.threadfix.statuses import description, normal
from gate.wording import count, moment, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.build import Build
    from gate.parts.scans import ScanVerdict
    from gate.verdict import Verdict

LANES: Final = 100
"""Scans that are drawn and listed; the result document has all."""
OUTAGES: Final = 20
"""Outages that are listed."""
MISTAKES: Final = 40
"""Invalid options that are listed."""
NAME: Final = 120
"""Characters of a scan's name."""
ROW: Final = 200
"""Characters of the sentence about one of several scans."""


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the table of statuses.

    Attributes:
        status: as the server wrote it, shortened.
        words: what ThreadFix shows for it; empty where it is not documented.
        paint: what it is drawn in.
        began: when it was first seen, in words.
        took: how long it lasted, in words.
        polls: how many saw it.
    """

    status: str
    words: str
    paint: Paint
    began: str
    took: str
    polls: int


def render(verdict: Verdict) -> str:
    """The page; under 60 KiB for one scan, and bounded for many, whatever the server says."""
    loader = PackageLoader("gate.reporters.page", ".")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds, "shorten": shorten, "marked": marked, "moment": moment}
    environment.globals |= {
        "colour": {name: colour.light for name, colour in PALETTE.items()},
        "kind_paint": KIND_PAINTS,
        "outage_paint": OUTAGE_PAINT,
    }
    layout, _, _ = loader.get_source(environment, "page.css")
    style = style_sheet() + layout
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
        outages=_outages(verdict.scans),
        all_outages=sum(len(scan.history.outages) for scan in verdict.scans),
        facts=list(_facts(verdict)),
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


def _steps(scan: ScanVerdict) -> Iterator[Step]:
    bars = timeline.status_bars(scan.history)
    for part, phase in list(zip(bars, scan.history.phases, strict=True))[:SEGMENTS]:
        yield Step(
            status=shorten(part.label, STATUS),
            words=description(part.label),
            paint=status_paint(phase.status),
            began=seconds(part.start),
            took=seconds(part.length),
            polls=phase.polls,
        )


def _legend(scans: Sequence[ScanVerdict]) -> list[tuple[str, Paint]]:
    """Each documented status that is drawn, with its paint; all others are one."""
    drawn = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, status_paint(status)) for status in STATUS_COLOURS if status in drawn]
    return known + ([("another status", status_paint(""))] if drawn - set(STATUS_COLOURS) else [])


def _outages(scans: Sequence[ScanVerdict]) -> list[tuple[int, str, str]]:
    outages = [(scan.target.pending_scan_id, *words) for scan in scans for words in timeline.outages(scan.history)]
    return [(number, when, shorten(error, ROW)) for number, when, error in outages[:OUTAGES]]


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
        tally = ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in Kind if kind in kinds)
        yield "pending scans", f"{len(kinds)} ({tally})"
    if verdict.scans:
        yield "polls", f"{verdict.polls}, {verdict.errors} of them failed" if verdict.errors else f"{verdict.polls}"
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
