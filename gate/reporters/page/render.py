"""Render the page: the template has the words and the order, the drawing the numbers."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gate.judge.conclusions import describe
from gate.model.reasons import Kind
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
from gate.text.sanitizer import shorten
from gate.text.wording import count, moment, seconds, size
from gate.threadfix.statuses import description, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.build import Build
    from gate.model.history import CheckResult, History, Obstacle, Upload

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
"""Characters of the sentence about a scan, if there are several."""
MESSAGE: Final = 2000
"""Characters of the verdict's own message."""


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the table of statuses.

    Attributes:
        status: as the server wrote it, shortened.
        words: as ThreadFix shows it; empty if it is not documented.
        paint: its colour in the drawing.
        began: when it was first seen, in words.
        took: how long it lasted, in words.
        polls: responses with it.
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
        came: its result in few words.
        kind: its verdict; None if its pending scan has the verdict.
        message: of an upload that did not pass, or only because the user accepts it; empty if the verdict has it.
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
        limits: empty if unknown.
        number: open vulnerabilities of that severity; empty if unknown.
        evaluated: the time in words; empty if unknown.
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
        subject: the check, shortened.
        conclusion: of the check.
        message: empty if the verdict has it already.
        hint: empty if the verdict or an earlier check has it already.
        noun: of a row.
        rows: the policies or criteria.
        more: the number of rows that are left out.
        obstacles: the vulnerabilities.
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
    """Return the page; under 60 KiB for a single scan, and bounded for many, for any texts of a server."""
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
    """Split our own sentence into pieces, each with the element of its Markdown: `code`, `em` or empty."""
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
    # The advice for several checks is shown once.
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
    """Return the paint of each documented status, of the others together, and of fresh and stale checks."""
    drawn = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, status_paint(status)) for status in STATUS_COLOURS if status in drawn]
    others = [("another status", status_paint(""))] if drawn - set(STATUS_COLOURS) else []
    seen = {phase.status for check in checks if check.history.polls > 1 for phase in check.history.phases}
    return known + others + [(status, check_paint(status)) for status in CHECK_COLOURS if status in seen]


def _histories(verdict: Verdict) -> Iterator[tuple[str, History[Any, Any]]]:
    """Yield every history with the name of its scan or check; the name of a single scan is empty."""
    alone = len(verdict.scans) == 1 and not verdict.checks
    for scan in verdict.scans:
        yield "" if alone else f"#{scan.target.pending_scan_id}", scan.history
    for check in verdict.checks:
        yield shorten(check.subject, STATUS), check.history


def _outages(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Return each outage: the scan or check, the time, and the newest error."""
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
    """Return the number of parts, and the number of each verdict."""
    kinds = [part.conclusion.kind for part in parts]
    return f"{len(kinds)} ({', '.join(f'{kinds.count(kind)} {kind.value}' for kind in Kind if kind in kinds)})"


def _build(build: Build) -> str | Markup:
    """Return the build with its short commit and a link to its run."""
    commit = build.commit[:12] if build.commit else None
    text = ", ".join(fact for fact in (build.system, build.repository, build.ref, commit) if fact)
    if not build.url:
        return text
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(build.url, text)
