"""Renders the page from a verdict: the template has the words and the order, the drawing the numbers."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gate.conclusions import describe
from gate.reasons import Kind
from gate.reporters import phrases, timeline
from gate.reporters.page.colours import (
    CHECK_COLOURS,
    KIND_PAINTS,
    OUTAGE_PAINT,
    PALETTE,
    STATUS_COLOURS,
    Paint,
    check_paint,
    status_paint,
    style_sheet,
)
from gate.reporters.page.drawing import PHASES, STATUS, draw
from gate.text import shorten
from gate.threadfix.statuses import description, normal
from gate.wording import count, moment, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gate.build import Build
    from gate.conclusions import Conclusion
    from gate.history import CheckResult, History, Obstacle, Upload
    from gate.parts.checks import CheckVerdict
    from gate.parts.scans import ScanVerdict
    from gate.verdict import Verdict

LANES: Final = 100
"""Scans that are drawn and listed; the result document has all."""
UPLOADS: Final = 50
"""Uploads that are listed."""
CHECKS: Final = 20
"""Checks that are shown."""
ALL_RESULTS: Final = 200
"""Policies and criteria that are listed of all checks together, `FEWEST_RESULTS` at least of each."""
FEWEST_RESULTS: Final = 5
OUTAGES: Final = 20
"""Outages that are listed."""
MISTAKES: Final = 40
"""Invalid options that are listed."""
NAME: Final = 120
"""Characters of the name of a scan, a file, a policy or a vulnerability."""
ROW: Final = 200
"""Characters of the sentence about one of several scans."""
MESSAGE: Final = 2000
"""Characters of the verdict's own message."""


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


@dataclass(frozen=True, slots=True)
class UploadRow:
    """A row of the table of uploads.

    Attributes:
        file: its path, shortened.
        size: in words.
        took: how long it took, in words.
        came: what came of it.
        kind: the verdict on it; None where its pending scan has that.
        message: why, where it did not pass or only because the user accepts it, and the verdict does not say it; else
            empty.
    """

    file: str
    size: str
    took: str
    came: str
    kind: Kind | None
    message: str


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A row of the table of a check; the texts are shortened.

    Attributes:
        name: the policy's, or the severity that the criterion limits.
        kind: whether it holds, as a verdict.
        word: ThreadFix's.
        limits: what it allows; empty where that is not known.
        number: open vulnerabilities of that severity; empty where that is not known.
        evaluated: when, in words; empty where that is not known.
    """

    name: str
    kind: Kind
    word: str
    limits: str
    number: str
    evaluated: str


@dataclass(frozen=True, slots=True)
class CheckCard:
    """A check of the release, as it is shown.

    Attributes:
        subject: which check, shortened.
        conclusion: what it came to.
        message: what happened; empty where the verdict says it already.
        hint: what to do; empty where the verdict or a check above says it already.
        noun: what a row is about.
        rows: what ThreadFix says of each policy or criterion.
        more: how many more of those there are.
        obstacles: what is in the way.
    """

    subject: str
    conclusion: Conclusion
    message: str
    hint: str
    noun: str
    rows: tuple[ResultRow, ...]
    more: int
    obstacles: tuple[Obstacle, ...]


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
    scans, checks = verdict.scans[:LANES], phrases.urgent_first(verdict.checks)[:CHECKS]
    alone = verdict.scans[0] if len(verdict.scans) == 1 else None
    return environment.get_template("page.html.j2").render(
        verdict=verdict,
        conclusion=verdict.conclusion,
        link="Open the scan in ThreadFix" if verdict.url == verdict.scan_url else "Open in ThreadFix",
        uploads=[_upload_row(upload, verdict) for upload in verdict.uploads[:UPLOADS]],
        scans=scans,
        more=max(0, len(verdict.scans) - LANES),
        alone=alone,
        drawing=draw(scans, checks),
        steps=list(_steps(alone)) if alone else [],
        legend=_legend(scans, checks),
        checks=list(_check_cards(checks, verdict)),
        outages=_outages(verdict),
        all_outages=sum(len(history.outages) for _, history in _histories(verdict)),
        facts=list(_facts(verdict)),
        limits={"status": STATUS, "name": NAME, "row": ROW, "message": MESSAGE, "mistakes": MISTAKES},
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
    for part, phase in list(zip(bars, scan.history.phases, strict=True))[:PHASES]:
        yield Step(
            status=shorten(part.label, STATUS),
            words=description(part.label),
            paint=status_paint(phase.status),
            began=seconds(part.start),
            took=seconds(part.length),
            polls=phase.polls,
        )


def _upload_row(upload: Upload, verdict: Verdict) -> UploadRow:
    part = verdict.ended(upload)
    came = phrases.outcome(upload) if part is None or part.scan_id is not None else part.conclusion.reason.value
    told = (
        part
        and (part.conclusion.kind is not Kind.PASS or part.conclusion.reason in phrases.NOTICED)
        and describe(part) != verdict.conclusion.message
    )
    return UploadRow(
        file=shorten(upload.file.shown, NAME),
        size=size(upload.file.size),
        took=seconds(upload.elapsed),
        came=came,
        kind=part.conclusion.kind if part else None,
        message=shorten(part.conclusion.message, ROW) if part and told else "",
    )


def _check_cards(checks: Sequence[CheckVerdict], verdict: Verdict) -> Iterator[CheckCard]:
    most = max(FEWEST_RESULTS, ALL_RESULTS // max(len(checks), 1))
    # What is to be done about several checks stands where it is needed first.
    advised = {verdict.conclusion.hint}
    for check in checks:
        conclusion = check.conclusion
        yield CheckCard(
            subject=shorten(check.subject, NAME),
            conclusion=conclusion,
            message="" if describe(check) == verdict.conclusion.message else shorten(conclusion.message, 2 * ROW),
            hint="" if conclusion.hint in advised else conclusion.hint,
            noun="severity" if phrases.kind_of(check.check) == "criteria" else "policy",
            rows=tuple(_result_row(result, check) for result in phrases.ordered(check.results)[:most]),
            more=max(0, len(check.results) - most),
            obstacles=check.obstacles,
        )
        advised.add(conclusion.hint)


def _result_row(result: CheckResult, check: CheckVerdict) -> ResultRow:
    return ResultRow(
        name=shorten(result.name, NAME),
        kind=phrases.kind_of_result(result, check),
        word=shorten(phrases.word(result), STATUS),
        limits=shorten(", ".join(result.limits), NAME),
        number="" if result.count is None else str(result.count),
        evaluated=phrases.evaluated(result),
    )


def _legend(scans: Iterable[ScanVerdict], checks: Iterable[CheckVerdict]) -> list[tuple[str, Paint]]:
    """Each documented status that is drawn, with its paint; all others are one. Then how fresh the checks were."""
    drawn = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, status_paint(status)) for status in STATUS_COLOURS if status in drawn]
    others = [("another status", status_paint(""))] if drawn - set(STATUS_COLOURS) else []
    seen = {phase.status for check in checks if check.history.polls > 1 for phase in check.history.phases}
    return known + others + [(status, check_paint(status)) for status in CHECK_COLOURS if status in seen]


def _histories(verdict: Verdict) -> Iterator[tuple[str, History[Any, Any]]]:
    """Every wait's history, and what it is of; empty for one scan alone, where that is clear."""
    alone = len(verdict.scans) == 1 and not verdict.checks
    for scan in verdict.scans:
        yield "" if alone else scan.target.label, scan.history
    for check in verdict.checks:
        yield shorten(check.subject, STATUS), check.history


def _outages(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Each outage: of what, when, and its newest error."""
    outages = [(of, *words) for of, history in _histories(verdict) for words in timeline.outages(history)]
    return [(of, when, shorten(error, ROW)) for of, when, error in outages[:OUTAGES]]


def _facts(verdict: Verdict) -> Iterator[tuple[str, str | Markup]]:
    if verdict.server:
        yield "ThreadFix", verdict.server
    if verdict.application_id is not None:
        yield "application", str(verdict.application_id)
    if verdict.uploads:
        yield "uploads", f"{len(verdict.uploads)} ({size(sum(upload.file.size for upload in verdict.uploads))})"
    yield from _scan_facts(verdict)
    if verdict.checks:
        yield "checks", _tally(verdict.checks)
    if verdict.polls:
        yield "polls", f"{verdict.polls}, {verdict.errors} of them failed" if verdict.errors else f"{verdict.polls}"
    if verdict.build:
        yield "build", _build(verdict.build)
    yield "took", seconds(verdict.elapsed)
    yield "began", moment(verdict.started_at)
    yield "ended", moment(verdict.finished_at)
    yield "exit code", str(verdict.conclusion.exit_code)


def _scan_facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if len(verdict.scans) == 1:
        (scan,) = verdict.scans
        yield "pending scan", str(scan.target.pending_scan_id)
        if scan.scan_id:
            yield "scan", str(scan.scan_id)
        if scan.name:
            yield "name", shorten(scan.name, NAME)
    elif verdict.scans:
        yield "pending scans", _tally(verdict.scans)


def _tally(parts: Sequence[ScanVerdict] | Sequence[CheckVerdict]) -> str:
    """How many there are, and how many of them came to what."""
    kinds = [part.conclusion.kind for part in parts]
    return f"{len(kinds)} ({', '.join(f'{kinds.count(kind)} {kind.value}' for kind in Kind if kind in kinds)})"


def _build(build: Build) -> str | Markup:
    """Which build it was, its commit cut as people cut it, with a link to its run."""
    commit = build.commit[:12] if build.commit else None
    text = ", ".join(fact for fact in (build.system, build.repository, build.ref, commit) if fact)
    if not build.url:
        return text
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(build.url, text)
