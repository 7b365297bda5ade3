"""GitHub's job summary, as Markdown: verdict first, then the timeline, the facts, the trouble and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.reasons import Kind
from gate.reporters import timeline
from gate.text import count, html, markdown, seconds, shorten
from gate.verdict import told

if TYPE_CHECKING:
    from gate.build import Build
    from gate.verdict import Finding, ScanVerdict, Verdict

LIMIT: Final = 60 * 1024
"""Bytes; timelines are left out where they would go beyond it (the runner drops what is over 1 MiB)."""
ROWS: Final = 100
"""Scans in the table; the result document has all."""
SHORT: Final = 24
"""Characters of a name or a status in the table. A mark of punctuation takes six bytes."""
STORIES: Final = 8
"""Scans whose message stands above the table, with at most `STORY` characters; the whole one is in the log."""
STORY: Final = 160
STRETCHES: Final = 16
OUTAGES: Final = 8

ICONS: Final = {Kind.PASS: "✅", Kind.FAIL: "❌", Kind.UNKNOWN: "❔"}


def render(verdict: Verdict) -> str:
    """The summary's Markdown; under 64 KiB, whatever the server says."""
    finding = verdict.finding
    parts = [f"## {ICONS[finding.kind]} ThreadFix gate: {finding.kind.value} ({finding.reason.value})"]
    if verdict.mistakes:
        parts.append("\n".join(f"- {markdown(mistake)}" for mistake in verdict.mistakes))
    else:
        parts.append(markdown(_sentence(finding.message)))
    if verdict.decider and verdict.decider.url:
        parts.append(f"[Open the scan in ThreadFix](<{html(verdict.decider.url)}>)")
    if finding.kind is not Kind.PASS:
        parts += _what_now(finding, verdict.resume)
    if len(verdict.scans) == 1:
        parts += _alone(verdict.scans[0])
    elif verdict.scans:
        parts += _stories(verdict.scans)
        parts.append(_table(verdict.scans))
        parts += _timelines(verdict.scans, LIMIT - len("\n\n".join(parts).encode()))
    if verdict.build:
        parts.append(_build(verdict.build))
    parts.append(_facts(verdict))
    return "\n\n".join(parts) + "\n"


def _what_now(finding: Finding, resume: str) -> list[str]:
    soft = ["The job goes on all the same: that is what was asked for."] if finding.softened else []
    command = ["**Wait on with:**", f"<pre>{html(resume)}</pre>"] if resume else []
    return [f"**What it means:** {finding.meaning}", *soft, *command, f"**What to do:** {finding.hint}"]


def _alone(scan: ScanVerdict) -> list[str]:
    name = f" ({markdown(shorten(scan.name, 80))})" if scan.name else ""
    drawn = _drawn(scan)
    trouble = [f"- {markdown(when)}: {markdown(shorten(what, STORY))}" for when, what in timeline.trouble(scan.history)]
    more = [f"- … and {len(trouble) - OUTAGES} more"] if len(trouble) > OUTAGES else []
    outages = ["**Trouble on the way:**", "\n".join(trouble[:OUTAGES] + more)] if trouble else []
    return [f"### Pending scan {scan.target.pending_scan_id}{name}", drawn, *outages] if drawn else outages


def _table(scans: tuple[ScanVerdict, ...]) -> str:
    rows = ["| scan | verdict | took | status | name |", "|---:|---|---:|---|---|"]
    for scan in scans[:ROWS]:
        history, finding = scan.history, scan.finding
        status = markdown(shorten(history.answer.status, SHORT)) if history.answer else "–"
        name = markdown(shorten(scan.name or "–", SHORT))
        # No break between them, however narrow the column is.
        kind = f"{ICONS[finding.kind]}\N{NO-BREAK SPACE}{finding.reason.value}"
        rows.append(f"| {scan.target.pending_scan_id} | {kind} | {seconds(history.elapsed)} | {status} | {name} |")
    more = len(scans) - ROWS
    return "\n".join(rows) + (f"\n\n… and {count(more, 'scan')} more." if more > 0 else "")


def _stories(scans: tuple[ScanVerdict, ...]) -> list[str]:
    """What became of each scan that did not pass."""
    lines = [
        f"- {ICONS[scan.finding.kind]} {markdown(shorten(_sentence(told(scan)), STORY))}"
        for scan in scans
        if scan.finding.kind is not Kind.PASS
    ]
    more = [f"- … and {len(lines) - STORIES} more"] if len(lines) > STORIES else []
    return ["\n".join(lines[:STORIES] + more)] if lines else []


def _timelines(scans: tuple[ScanVerdict, ...], room: int) -> list[str]:
    """The timelines, folded, those of the scans that did not pass first, as many as there is room for."""
    parts = []
    for scan in sorted(scans, key=lambda scan: scan.finding.kind is Kind.PASS):
        name = f" {markdown(shorten(scan.name, SHORT))}" if scan.name else ""
        part = f"{ICONS[scan.finding.kind]} {scan.target.pending_scan_id}{name}\n\n{_drawn(scan)}"
        room -= len(part.encode()) + 2
        if room < 0:
            break
        parts.append(part)
    return ["<details><summary>Timelines</summary>", *parts, "</details>"] if parts else []


def _drawn(scan: ScanVerdict) -> str:
    lines = [html(line) for line in timeline.draw(scan.history, STRETCHES).splitlines()]
    return "<pre>{}</pre>".format("\n".join(lines)) if lines else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _build(build: Build) -> str:
    """Which build it was."""
    commit = markdown(build.commit[:12]) if build.commit else ""
    facts = [markdown(fact) for fact in (build.system, build.repository, build.ref) if fact] + [commit] * bool(commit)
    link = [f"[run](<{html(build.url)}>)"] if build.url else []
    return "Build: " + " · ".join(facts + link)


def _facts(verdict: Verdict) -> str:
    facts = [f"threadfix-gate {verdict.version}"]
    if verdict.server:
        facts.append(markdown(verdict.server))
    facts += [f"took {seconds(verdict.elapsed)}", count(verdict.polls, "poll")]
    if verdict.errors:
        facts.append(f"{verdict.errors} of them in trouble")
    return " · ".join(facts)
