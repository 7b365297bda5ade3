"""Render the page: the template has the words and the order, the drawing the numbers."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases, timeline
from gate.reporters.page.colours import CHECK_COLOURS, PALETTE, STATUS_COLOURS, status_colour, style_sheet
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


class Limits:
    """The most that the page shows; the result document has all."""

    lanes: Final = 100  # scans that are drawn and listed
    phases: Final = PHASES  # of a single scan
    uploads: Final = 50
    checks: Final = 20
    all_results: Final = 200  # policies and criteria of all checks together, `fewest_results` at least of each
    fewest_results: Final = 5
    outages: Final = 20
    invalid: Final = 40
    status: Final = STATUS  # characters, as the following
    name: Final = 120  # of a scan, a file, a policy or a vulnerability
    row: Final = 200  # the sentence about a scan, if there are several
    message: Final = 2000  # the verdict's own


def render(verdict: Verdict) -> str:
    """Return the page; under 60 KiB for a single scan, and bounded for many, for any texts of a server."""
    loader = PackageLoader("gate.reporters.page", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"marked": marked, "moment": moment, "seconds": seconds, "shorten": shorten, "size": size}
    environment.filters |= {"evaluated": phrases.evaluated, "kind": phrases.kind_of_result, "noun": phrases.noun}
    environment.filters |= {"outcome": phrases.outcome_or_reason, "word": phrases.word}
    environment.filters |= {"colour": status_colour, "description": description}
    layout, _, _ = loader.get_source(environment, "page.css")
    style = style_sheet() + layout
    scans, checks = verdict.scans[: Limits.lanes], phrases.urgent_first(verdict.checks)[: Limits.checks]
    return environment.get_template("page.html.j2").render(
        verdict=verdict,
        conclusion=verdict.conclusion,
        link=phrases.link_text(verdict),
        needing_message=phrases.needing_message(verdict),
        scans=scans,
        alone=verdict.scans[0] if len(verdict.scans) == 1 else None,
        drawing=draw(scans, checks),
        legend=_legend(scans, checks),
        checks=list(_checks(checks, verdict)),
        outages=list(_outages(verdict)),
        facts=_facts(verdict),
        limits=Limits,
        colour={name: colour.light for name, colour in PALETTE.items()},
        style=Markup(style),  # noqa: S704 - our own file
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        count=count,
    )


def marked(text: str) -> Markup:
    """Return our own sentence as HTML, with the elements of its Markdown: `code` and `em`."""
    parts = re.compile("`([^`]+)`|[*]([^*]+)[*]")
    html = parts.sub(lambda part: f"<code>{part[1]}</code>" if part[1] else f"<em>{part[2]}</em>", str(escape(text)))
    return Markup(html)  # noqa: S704 - escaped above


def _checks(
    checks: Sequence[CheckVerdict], verdict: Verdict
) -> Iterator[tuple[CheckVerdict, str, str, list[CheckResult]]]:
    """Yield each check with its message and hint, empty if they are shown already, and the results that are listed."""
    most = max(Limits.fewest_results, Limits.all_results // max(len(checks), 1))
    advised = {verdict.conclusion.hint}
    for check in checks:
        message, hint = check.conclusion.message, check.conclusion.hint
        message = "" if describe(check) == verdict.conclusion.message else shorten(message, 2 * Limits.row)
        yield check, message, "" if hint in advised else hint, phrases.ordered(check.results)[:most]
        advised.add(hint)


def _legend(scans: Iterable[ScanVerdict], checks: Iterable[CheckVerdict]) -> list[tuple[str, str]]:
    """Return the colour of each documented status, of the others together, and of fresh and stale checks."""
    drawn = {normal(phase.status) for scan in scans for phase in scan.history.phases}
    known = [(status, colour) for status, colour in STATUS_COLOURS.items() if status in drawn]
    others = [("another status", "other")] if drawn - set(STATUS_COLOURS) else []
    seen = {phase.status for check in checks if check.history.polls > 1 for phase in check.history.phases}
    return known + others + [(status, colour) for status, colour in CHECK_COLOURS.items() if status in seen]


def _outages(verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    """Yield each outage: the scan (empty for a single scan) or the check, the time, and the newest error."""
    alone = len(verdict.scans) == 1 and not verdict.checks
    histories: list[tuple[str, History[Any, Any]]]
    histories = [("" if alone else f"#{scan.target.pending_scan_id}", scan.history) for scan in verdict.scans]
    histories += [(shorten(check.subject, STATUS), check.history) for check in verdict.checks]
    for name, history in histories:
        for when, error in timeline.outages(history):
            yield name, when, error


def _facts(verdict: Verdict) -> dict[str, object]:
    """Return the known facts by their names."""
    scan = verdict.scans[0] if len(verdict.scans) == 1 else None
    sent = size(sum(upload.file.size for upload in verdict.uploads))
    facts: dict[str, object] = {
        "ThreadFix": verdict.server,
        "application": verdict.application_id,
        "uploads": verdict.uploads and f"{len(verdict.uploads)} ({sent})",
        "pending scan": scan and scan.target.pending_scan_id,
        "scan": scan and scan.scan_id,
        "name": scan and shorten(scan.name or "", Limits.name),
        "pending scans": not scan and verdict.scans and _tally(verdict.scans),
        "checks": verdict.checks and _tally(verdict.checks),
        "polls": verdict.polls and f"{verdict.polls}{f', {verdict.errors} of them failed' if verdict.errors else ''}",
        "build": verdict.build and _build(verdict.build),
        "took": seconds(verdict.elapsed),
        "began": moment(verdict.started_at),
        "ended": moment(verdict.finished_at),
        "exit code": str(verdict.conclusion.exit_code),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _tally(parts: Sequence[ScanVerdict] | Sequence[CheckVerdict]) -> str:
    """Return the number of parts, and the number of each verdict."""
    kinds = [part.conclusion.kind for part in parts]
    return f"{len(kinds)} ({', '.join(f'{kinds.count(kind)} {kind.value}' for kind in Kind if kind in kinds)})"


def _build(build: Build) -> str | Markup:
    """Return the build with its short commit and a link to its run."""
    text = ", ".join(phrases.build_facts(build))
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(build.url, text) if build.url else text
