"""The HTML report, one self-contained file: the template has the words and the order, the drawing the numbers.

The only importer of Jinja2, and the only place of the page's colours. Some CI systems show the page without its style
sheet, so the drawing carries the light colours as attributes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gate.model.reasons import Kind
from gate.reporters import phrases
from gate.text.sanitizer import shorten
from gate.text.wording import count, moment, seconds, size
from gate.threadfix.rules import FAILURE, QUEUED_FOR_DELETE, STATUSES, SUCCESS, description, normal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gate.judge.checks import CheckVerdict
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.build import Build
    from gate.model.history import CheckResult, History


PALETTE: Final = {
    "page": ("#f4f6f8", "#0d1117"),
    "card": ("#ffffff", "#161b22"),
    "ink": ("#1f2328", "#e6edf3"),
    "soft": ("#57606a", "#9ea9b5"),
    "line": ("#d8dee6", "#30363d"),
    "track": ("#e6eaef", "#262d36"),
    "link": ("#0a58ca", "#6cb0ff"),
    "on-link": ("#ffffff", "#0d1117"),
    "pass": ("#15803d", "#4ac26b"),
    "fail": ("#b91c1c", "#ff7b72"),
    "unknown": ("#b45309", "#e3a33b"),
    "pass-tint": ("#eaf7ee", "#10251a"),
    "fail-tint": ("#fdeeee", "#2d1517"),
    "unknown-tint": ("#fdf4e4", "#2a2010"),
    "queued": ("#5f6b7a", "#94a1b0"),
    "uploaded": ("#0e7490", "#39c5d8"),
    "findings-generating": ("#0369a1", "#45b5f5"),
    "channel-merging": ("#1d4ed8", "#79a8ff"),
    "application-merging": ("#4338ca", "#9a94ff"),
    "application-merged": ("#6d28d9", "#bb99ff"),
    "linking-defects": ("#86198f", "#e58af2"),
    "other": ("#57534e", "#b0a9a3"),
}
"""Every colour, light and dark, by the name of its variable in the style sheet; the light colour is also for paper."""
STATUS_COLOURS: Final = {
    **{status: status.lower().replace("_", "-") for status in STATUSES},
    **dict.fromkeys(SUCCESS, "pass"),
    **dict.fromkeys(FAILURE, "fail"),
    QUEUED_FOR_DELETE: "unknown",
}
"""The colour of each documented status, by its normal form; any other status is `other`."""
CHECK_COLOURS: Final = {"stale": "other", "unchecked": "other", "fresh": "uploaded"}
"""The colour of a fresh and of a stale response."""


def colour_of(status: str) -> str:
    """Return the name of the colour of a status, or of a fresh or stale response."""
    return STATUS_COLOURS.get(normal(status)) or CHECK_COLOURS.get(status, "other")


def style_sheet() -> str:
    """Return a variable for each colour, light and dark, and a class for each colour that fills."""
    light = "".join(f"  --{name}: {bright};\n" for name, (bright, _) in PALETTE.items())
    dark = "".join(f"    --{name}: {dim};\n" for name, (_, dim) in PALETTE.items())
    fills = "".join(
        f".fill-{name} {{ fill: var(--{name}); }}\n"
        for name in dict.fromkeys([*STATUS_COLOURS.values(), "other", *(kind.value for kind in Kind)])
    )
    return (
        f"\n:root {{\n  color-scheme: light dark;\n{light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{\n  :root {{\n{dark}  }}\n}}\n{fills}"
    )


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
            yield self._rectangle(phase.first_seen, history.lasted(index), colour_of(phase.status), words)
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
    of_scans = _Scale(whole, 0.0, TALL if rows == 1 else STRIP, most)
    of_checks = of_scans._replace(began=waited)
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
    loader = PackageLoader("gate.reporters", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    functions = (marked, moment, seconds, shorten, size, description, phrases.evaluated, phrases.noun, phrases.state)
    environment.filters |= {function.__name__: function for function in (*functions, phrases.word)}
    others = {"colour": colour_of, "kind": phrases.kind_of_result, "outcome": phrases.outcome_or_reason}
    environment.filters |= others
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
        colour={name: light for name, (light, _) in PALETTE.items()},
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
        message = "" if phrases.is_repeated(check, verdict) else shorten(message, 2 * Limits.row)
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
        for when, error in phrases.outages(history):
            yield name, when, error


def _facts(verdict: Verdict) -> dict[str, object]:
    """Return the known facts by their names."""
    scan, application = verdict.scans[0] if len(verdict.scans) == 1 else None, verdict.application
    sent = size(sum(upload.file.size for upload in verdict.uploads))
    facts: dict[str, object] = {
        "ThreadFix": verdict.server,
        "application": application
        and (f"{application.name} ({application.id})" if application.name else application.id),
        "team": application and application.team,
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
