"""GitHub's job summary, as Markdown: verdict first, then the timeline, the outages, the facts and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.conclusions import describe
from gate.reasons import Kind
from gate.reporters import timeline
from gate.text import escape_html, escape_markdown, shorten
from gate.wording import count, seconds

if TYPE_CHECKING:
    from gate.build import Build
    from gate.parts.scans import ScanVerdict
    from gate.verdict import Verdict

LIMIT: Final = 60 * 1024
"""Bytes; timelines are left out where they would go beyond it (the runner drops what is over 1 MiB)."""
ROWS: Final = 100
"""Scans in the table; the result document has all."""
SHORT: Final = 24
"""Characters of a name or a status in the table. A mark of punctuation takes six bytes."""
SENTENCES: Final = 8
"""Scans whose message stands above the table, with at most `SENTENCE` characters; the whole one is in the log."""
SENTENCE: Final = 160
STRETCHES: Final = 16
"""Statuses and outages in one timeline."""
OUTAGES: Final = 8
"""Outages that are listed."""

ICONS: Final = {Kind.PASS: "✅", Kind.FAIL: "❌", Kind.UNKNOWN: "❔"}


def render(verdict: Verdict) -> str:
    """The summary's Markdown; under 64 KiB, whatever the server says."""
    conclusion = verdict.conclusion
    parts = [f"## {ICONS[conclusion.kind]} ThreadFix gate: {conclusion.kind.value} ({conclusion.reason.value})"]
    if verdict.mistakes:
        parts.append("\n".join(f"- {escape_markdown(str(mistake))}" for mistake in verdict.mistakes))
    else:
        parts.append(escape_markdown(_sentence(conclusion.message)))
    if verdict.deciding_scan and verdict.deciding_scan.url:
        parts.append(f"[Open the scan in ThreadFix](<{escape_html(verdict.deciding_scan.url)}>)")
    if conclusion.kind is not Kind.PASS:
        parts += _what_now(verdict)
    if len(verdict.scans) == 1:
        parts += _alone(verdict.scans[0])
    elif verdict.scans:
        parts += _sentences(verdict.scans)
        parts.append(_table(verdict.scans))
        parts += _timelines(verdict.scans, LIMIT - len("\n\n".join(parts).encode()))
    if verdict.build:
        parts.append(_build(verdict.build))
    parts.append(_facts(verdict))
    return "\n\n".join(parts) + "\n"


def _what_now(verdict: Verdict) -> list[str]:
    conclusion, option = verdict.conclusion, verdict.naming.option(f"on-{verdict.conclusion.reason}", "warn")
    soft = [f"The job continues because of `{option}`."] if conclusion.downgraded else []
    how, what = verdict.how_to_resume if verdict.resume else ("", "")
    command = [f"**{how}**", f"<pre>{escape_html(what)}</pre>"] if how else []
    return [f"**What it means:** {conclusion.meaning}", *soft, *command, f"**What to do:** {conclusion.hint}"]


def _alone(scan: ScanVerdict) -> list[str]:
    name = f" ({escape_markdown(shorten(scan.name, 80))})" if scan.name else ""
    drawn = _drawn(scan)
    lines = [
        f"- {escape_markdown(when)}: {escape_markdown(shorten(error, SENTENCE))}"
        for when, error in timeline.outages(scan.history)
    ]
    more = [f"- … and {len(lines) - OUTAGES} more"] if len(lines) > OUTAGES else []
    outages = ["**Outages:**", "\n".join(lines[:OUTAGES] + more)] if lines else []
    return [f"### Pending scan {scan.target.pending_scan_id}{name}", drawn, *outages] if drawn else outages


def _table(scans: tuple[ScanVerdict, ...]) -> str:
    rows = ["| scan | verdict | took | status | name |", "|---:|---|---:|---|---|"]
    for scan in scans[:ROWS]:
        history, conclusion = scan.history, scan.conclusion
        status = escape_markdown(shorten(history.reading.status, SHORT)) if history.reading else "–"
        name = escape_markdown(shorten(scan.name or "–", SHORT))
        # No break between them, however narrow the column is.
        kind = f"{ICONS[conclusion.kind]}\N{NO-BREAK SPACE}{conclusion.reason.value}"
        rows.append(f"| {scan.target.pending_scan_id} | {kind} | {seconds(history.elapsed)} | {status} | {name} |")
    more = len(scans) - ROWS
    return "\n".join(rows) + (f"\n\n… and {count(more, 'scan')} more." if more > 0 else "")


def _sentences(scans: tuple[ScanVerdict, ...]) -> list[str]:
    """What each scan came to that did not pass."""
    lines = [
        f"- {ICONS[scan.conclusion.kind]} {escape_markdown(shorten(_sentence(describe(scan)), SENTENCE))}"
        for scan in scans
        if scan.conclusion.kind is not Kind.PASS
    ]
    more = [f"- … and {len(lines) - SENTENCES} more"] if len(lines) > SENTENCES else []
    return ["\n".join(lines[:SENTENCES] + more)] if lines else []


def _timelines(scans: tuple[ScanVerdict, ...], room: int) -> list[str]:
    """The timelines, folded, those of the scans that did not pass first, as many as there is room for."""
    parts = []
    for scan in sorted(scans, key=lambda scan: scan.conclusion.kind is Kind.PASS):
        name = f" {escape_markdown(shorten(scan.name, SHORT))}" if scan.name else ""
        part = f"{ICONS[scan.conclusion.kind]} {scan.target.pending_scan_id}{name}\n\n{_drawn(scan)}"
        room -= len(part.encode()) + 2
        if room < 0:
            break
        parts.append(part)
    return ["<details><summary>Timelines</summary>", *parts, "</details>"] if parts else []


def _drawn(scan: ScanVerdict) -> str:
    lines = [escape_html(line) for line in timeline.draw(scan.history, STRETCHES).splitlines()]
    return "<pre>{}</pre>".format("\n".join(lines)) if lines else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _build(build: Build) -> str:
    """Which build it was."""
    commit = escape_markdown(build.commit[:12]) if build.commit else ""
    facts = [escape_markdown(fact) for fact in (build.system, build.repository, build.ref) if fact] + [commit] * bool(
        commit
    )
    link = [f"[run](<{escape_html(build.url)}>)"] if build.url else []
    return "Build: " + " · ".join(facts + link)


def _facts(verdict: Verdict) -> str:
    facts = [f"threadfix-gate {verdict.version}"]
    if verdict.server:
        facts.append(escape_markdown(verdict.server))
    facts += [f"took {seconds(verdict.elapsed)}", count(verdict.polls, "poll")]
    if verdict.errors:
        facts.append(f"{verdict.errors} of them failed")
    return " · ".join(facts)
