"""GitHub's job summary, as Markdown: verdict first, then the timeline, the facts, the trouble and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.reasons import Kind
from gate.reporters.timeline import draw
from gate.text import count, html, markdown, seconds, shorten

if TYPE_CHECKING:
    from gate.verdict import Finding, ScanVerdict, Verdict

TIMELINES: Final = 20
"""Scans whose timeline is drawn; the others have a row in the table."""
ROWS: Final = 100
MESSAGE: Final = 60
"""Characters of a message in the table; the whole one is in the log. A mark of punctuation takes six bytes."""

ICONS: Final = {Kind.PASS: "✅", Kind.FAIL: "❌", Kind.UNKNOWN: "❔"}


def render(verdict: Verdict) -> str:
    """The summary's Markdown; under 64 KiB, whatever the server says (the runner drops what is over 1 MiB)."""
    finding = verdict.finding
    parts = [f"## {ICONS[finding.kind]} ThreadFix gate: {finding.kind.value} ({finding.reason.value})"]
    if verdict.mistakes:
        parts.append("\n".join(f"- {markdown(mistake)}" for mistake in verdict.mistakes))
    else:
        parts.append(markdown(finding.message))
    if verdict.decider and verdict.decider.url:
        parts.append(f"[Open the scan in ThreadFix](<{html(verdict.decider.url)}>)")
    if finding.kind is not Kind.PASS:
        parts += _what_now(finding, verdict.resume)
    if len(verdict.scans) > 1:
        parts.append(_table(verdict.scans))
    for scan in verdict.scans[:TIMELINES]:
        parts += _timeline(scan, alone=len(verdict.scans) == 1)
    parts.append(_facts(verdict))
    return "\n\n".join(parts) + "\n"


def _what_now(finding: Finding, resume: str) -> list[str]:
    soft = ["The job goes on all the same: that is what was asked for."] if finding.softened else []
    command = [f"<pre>{html(resume)}</pre>"] if resume else []
    return [f"**What it means:** {finding.reason.row.means}", *soft, *command, f"**What to do:** {finding.hint}"]


def _table(scans: tuple[ScanVerdict, ...]) -> str:
    rows = ["| pending scan | verdict | status | took | |", "|---:|---|---|---:|---|"]
    for scan in scans[:ROWS]:
        history, finding = scan.history, scan.finding
        status = markdown(shorten(history.answer.status, 30)) if history.answer else "–"
        said = "" if finding.kind is Kind.PASS else markdown(shorten(finding.message, MESSAGE))
        kind = f"{ICONS[finding.kind]} {finding.reason.value}"
        rows.append(f"| {scan.target.pending_scan_id} | {kind} | {status} | {seconds(history.elapsed)} | {said} |")
    more = len(scans) - ROWS
    return "\n".join(rows) + (f"\n\n… and {count(more, 'scan')} more." if more > 0 else "")


def _timeline(scan: ScanVerdict, *, alone: bool) -> list[str]:
    if not scan.history.phases and not scan.history.outages:
        return []
    lines = "\n".join(html(line) for line in draw(scan.history).splitlines())
    drawn = f"<pre>{lines}</pre>"
    name = f" ({markdown(shorten(scan.name, 80))})" if scan.name else ""
    if alone:
        return [f"### Pending scan {scan.target.pending_scan_id}{name}", drawn]
    return [f"<details><summary>Pending scan {scan.target.pending_scan_id}{name}</summary>", drawn, "</details>"]


def _facts(verdict: Verdict) -> str:
    facts = [f"threadfix-gate {verdict.version}"]
    if verdict.server:
        facts.append(markdown(verdict.server))
    facts += [f"took {seconds(verdict.elapsed)}", count(verdict.polls, "poll")]
    if verdict.errors:
        facts.append(f"{verdict.errors} of them in trouble")
    return " · ".join(facts)
