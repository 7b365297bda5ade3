"""Render the page: the template has the words and the order, the drawing the numbers."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases, timeline
from gate.reporters.page.colours import (
    CHECK_COLOURS,
    PALETTE,
    STATUS_COLOURS,
    status_colour,
    style_sheet,
)
from gate.reporters.page.drawing import PHASES, STATUS, draw
from gate.text.sanitizer import shorten
from gate.text.wording import count, moment, seconds, size
from gate.threadfix.statuses import description, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gate.judge.checks import CheckVerdict
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.build import Build
    from gate.model.history import CheckResult, History

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
LIMITS: Final = {
    "message": MESSAGE,
    "mistakes": MISTAKES,
    "name": NAME,
    "phases": PHASES,
    "row": ROW,
    "status": STATUS,
    "uploads": UPLOADS,
}
"""The limits that the template uses."""


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
    environment.filters |= {
        "colour": status_colour,
        "description": description,
        "evaluated": phrases.evaluated,
        "kind": phrases.kind_of_result,
        "marked": marked,
        "moment": moment,
        "noun": phrases.noun,
        "outcome": phrases.outcome_or_reason,
        "seconds": seconds,
        "shorten": shorten,
        "size": size,
        "word": phrases.word,
    }
    layout, _, _ = loader.get_source(environment, "page.css")
    style = style_sheet() + layout
    scans, checks = verdict.scans[:LANES], phrases.urgent_first(verdict.checks)[:CHECKS]
    return environment.get_template("page.html.j2").render(
        verdict=verdict,
        conclusion=verdict.conclusion,
        link=phrases.link_text(verdict),
        untold=phrases.untold(verdict),
        scans=scans,
        alone=verdict.scans[0] if len(verdict.scans) == 1 else None,
        drawing=draw(scans, checks),
        legend=_legend(scans, checks),
        checks=list(_checks(checks, verdict)),
        outages=_outages(verdict),
        all_outages=sum(len(history.outages) for _, history in _histories(verdict)),
        facts=list(_facts(verdict)),
        limits=LIMITS,
        colour={name: colour.light for name, colour in PALETTE.items()},
        style=Markup(style),  # noqa: S704 - our own file
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        count=count,
    )


def marked(text: str) -> list[tuple[str, str]]:
    """Split our own sentence into pieces, each with the element of its Markdown: `code`, `em` or empty."""
    pieces = []
    for piece in re.split(r"(`[^`]+`|\*[^*]+\*)", text):
        element = {"`": "code", "*": "em"}.get(piece[:1], "") if len(piece) > 2 and piece[0] == piece[-1] else ""  # noqa: PLR2004
        pieces.append((element, piece[1:-1] if element else piece))
    return pieces


def _checks(
    checks: Sequence[CheckVerdict], verdict: Verdict
) -> Iterator[tuple[CheckVerdict, str, str, list[CheckResult]]]:
    """Yield each check with its message and hint, empty if they are shown already, and the results that are listed."""
    most = max(FEWEST_RESULTS, ALL_RESULTS // max(len(checks), 1))
    advised = {verdict.conclusion.hint}
    for check in checks:
        message, hint = check.conclusion.message, check.conclusion.hint
        message = "" if describe(check) == verdict.conclusion.message else shorten(message, 2 * ROW)
        yield check, message, "" if hint in advised else hint, phrases.ordered(check.results)[:most]
        advised.add(hint)


def _legend(scans: Iterable[ScanVerdict], checks: Iterable[CheckVerdict]) -> list[tuple[str, str]]:
    """Return the colour of each documented status, of the others together, and of fresh and stale checks."""
    drawn = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, colour) for status, colour in STATUS_COLOURS.items() if status in drawn]
    others = [("another status", "other")] if drawn - set(STATUS_COLOURS) else []
    seen = {phase.status for check in checks if check.history.polls > 1 for phase in check.history.phases}
    return known + others + [(status, colour) for status, colour in CHECK_COLOURS.items() if status in seen]


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
