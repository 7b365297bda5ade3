"""GitHub's job summary, as Markdown: the verdict and what to do, then checks, uploads, timelines and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases
from gate.text.sanitizer import escape_html, escape_markdown, shorten
from gate.text.wording import capitalized, count, seconds, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from gate.judge.checks import CheckVerdict
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.history import CheckResult, History, Obstacle, Upload

LIMIT: Final = 60 * 1024  # bytes; checks are cut and timelines left out (the runner drops a summary over 1 MiB)
ROWS: Final = 100  # scans in the table, and uploads in theirs; the result document has all
UPLOADS_ROOM: Final = 6 * 1024  # bytes of the rows of uploads
DIGESTS_ROOM: Final = 4 * 1024  # bytes of the digests of files
SCANS_ROOM: Final = 36 * 1024  # bytes of the rows of scans
SCANS_BESIDE_CHECKS: Final = 12 * 1024  # the same if there are checks too: then all scans passed
CHECK_ROWS: Final = 20  # policies or criteria in the table of one check
SHORT: Final = 24  # characters of a scan's name or a status in a table; a mark of punctuation takes six bytes
LONG: Final = 48  # characters of the name of a file, a policy or a vulnerability
DIGEST: Final = 66  # characters of a SHA-256 with the blanks after it
LISTED: Final = 8  # outages, and parts whose message is above the table; the log has all messages, and whole
SENTENCE: Final = 160  # characters of such an error or message
PHASES: Final = 16  # statuses and outages in one timeline
RESERVE: Final = 64  # bytes for the line that counts the checks which are not shown
MESSAGE: Final = 1200  # characters of the verdict's own message
ICONS: Final = {Kind.PASS: "✅", Kind.FAIL: "❌", Kind.UNKNOWN: "❔"}


def render(verdict: Verdict) -> str:
    """Return the summary's Markdown; under 64 KiB for any texts of a server."""
    head, tail = list(_head(verdict)), list(_facts(verdict))
    parts = [*_uploads(verdict), *_scans(verdict)]
    room = LIMIT - _bytes([*head, *parts, *tail])
    checks = list(_checks(verdict, room))
    if len(verdict.scans) > 1:
        parts += _timelines(verdict.scans, room - _bytes(checks))
    return "\n\n".join([*head, *checks, *parts, *tail]) + "\n"


def _head(verdict: Verdict) -> Iterator[str]:
    """Yield the verdict, the link, the advice, and each part that did not pass."""
    conclusion = verdict.conclusion
    yield f"## {ICONS[conclusion.kind]} ThreadFix gate: {conclusion.kind.value} ({conclusion.reason.value})"
    if verdict.invalid:
        yield "\n".join(f"- {escape_markdown(str(option))}" for option in verdict.invalid)
    else:
        yield _text(capitalized(conclusion.message), MESSAGE)
    if verdict.url:
        yield f"[{phrases.link_text(verdict)}](<{escape_html(verdict.url)}>)"
    if conclusion.kind is not Kind.PASS:
        yield f"**What it means:** {conclusion.meaning}"
        if conclusion.downgraded:
            yield f"The job continues because of `{verdict.naming.option(f'on-{conclusion.reason}', 'warn')}`."
        if verdict.resume:
            how, command = verdict.how_to_resume
            yield f"**{how}**"
            # Inputs are pasted into a workflow line by line.
            yield "<pre>" + "\n".join(map(escape_html, command.splitlines())) + "</pre>"
        yield f"**What to do:** {conclusion.hint}"
    yield from _list(
        f"{ICONS[part.conclusion.kind]} {_text(capitalized(describe(part)), SENTENCE)}"
        for part in phrases.needing_message(verdict)
    )


def _uploads(verdict: Verdict) -> list[str]:
    def row(upload: Upload) -> str:
        part = verdict.ended(upload)
        icon = f"{ICONS[part.conclusion.kind]}\N{NO-BREAK SPACE}" if part else ""
        result = phrases.outcome_or_reason(upload, part)
        name = _text(upload.file.shown, LONG)
        return f"| {name} | {icon}{result} | {size(upload.file.size)} | {seconds(upload.elapsed)} |"

    head = ["| file | result | size | took |", "|---|---|---:|---:|"]
    return [*_table(head, verdict.uploads, row, "upload", UPLOADS_ROOM), *_digests(verdict.uploads)]


def _digests(uploads: Sequence[Upload]) -> list[str]:
    """Return the SHA-256 of each file, folded, in the format of `sha256sum`; nothing if no file was sent whole."""
    lines = [f"{line[:DIGEST]}{escape_html(shorten(line[DIGEST:], LONG))}" for line in phrases.digests(uploads)]
    fitting = _fitting(lines, DIGESTS_ROOM, gap=1)
    more = [f"… and {count(len(lines) - len(fitting), 'file')} more."] if len(lines) > len(fitting) else []
    body = ["<pre>" + "\n".join(fitting) + "</pre>", *more]
    return ["<details><summary>SHA-256 of the uploaded files</summary>", *body, "</details>"] if lines else []


def _scans(verdict: Verdict) -> list[str]:
    """Return a single scan in full, or a row for each of several."""
    if len(verdict.scans) == 1:
        (scan,) = verdict.scans
        name = f" ({_text(scan.name, 80)})" if scan.name else ""
        drawn, outages = _drawn(scan.history), _outages(scan.history)
        return [f"### Pending scan {scan.target.pending_scan_id}{name}", drawn, *outages] if drawn else outages

    def row(scan: ScanVerdict) -> str:
        history = scan.history
        status = _text(history.reading.status, SHORT) if history.reading else "–"
        kind = f"{ICONS[scan.conclusion.kind]}\N{NO-BREAK SPACE}{scan.conclusion.reason.value}"
        name = _text(scan.name or "–", SHORT)
        return f"| {scan.target.pending_scan_id} | {kind} | {seconds(history.elapsed)} | {status} | {name} |"

    head = ["| scan | verdict | took | status | name |", "|---:|---|---:|---|---|"]
    return _table(head, verdict.scans, row, "scan", SCANS_BESIDE_CHECKS if verdict.checks else SCANS_ROOM)


def _table(head: list[str], items: Sequence[Any], row: Callable[[Any], str], noun: str, room: int) -> list[str]:
    """Return a table with a row for each item, as many as fit; nothing without items."""
    rows = _fitting(map(row, items[:ROWS]), room, gap=1)
    more = [f"… and {count(len(items) - len(rows), noun)} more."] if len(items) > len(rows) else []
    return ["\n".join([*head, *rows]), *more] if items else []


def _outages(history: History[Any, Any]) -> list[str]:
    lines = [f"{escape_markdown(when)}: {_text(error, SENTENCE)}" for when, error in phrases.outages(history)]
    return ["**Outages:**", *_list(lines)] if lines else []


def _list(lines: Iterable[str]) -> list[str]:
    """Return a list of at most `LISTED` lines, and the number of the others; nothing without lines."""
    items = [f"- {line}" for line in lines]
    more = [f"- … and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return ["\n".join([*items[:LISTED], *more])] if items else []


def _checks(verdict: Verdict, room: int) -> Iterator[str]:
    """Yield a part for each check, failed checks first; only its message, if the details do not fit."""
    left, advised = 0, {"", verdict.conclusion.hint}
    for check in phrases.urgent_first(verdict.checks):
        heading = f"### {ICONS[check.conclusion.kind]} {_text(capitalized(check.subject), 80)}: {phrases.state(check)}"
        repeated = phrases.is_repeated(check, verdict)
        message = "" if repeated else _text(capitalized(check.conclusion.message), 2 * SENTENCE)
        # The advice for several checks is shown once.
        advice = "" if check.conclusion.hint in advised else f"**What to do:** {check.conclusion.hint}"
        short = "\n\n".join(filter(None, (heading, message, advice)))
        whole = "\n\n".join([short, *_details(check)])
        part = next((part for part in (whole, short) if _bytes([part]) + RESERVE <= room), None)
        if part is None:
            left += 1
            continue
        room -= _bytes([part])
        advised.add(check.conclusion.hint)
        yield part
    if left:
        yield f"… and {count(left, 'check')} more."


def _details(check: CheckVerdict) -> Iterator[str]:
    """Yield the results, their timeline and the vulnerabilities."""
    results = phrases.ordered(check.results)
    if results:
        yield _results(results, check)
    if len(check.history.phases) > 1 or check.history.outages:
        yield _drawn(check.history)
        yield from _outages(check.history)
    if check.obstacles:
        yield "**Blocked by:**"
        yield "\n".join(map(_obstacle, check.obstacles))


def _results(results: list[CheckResult], check: CheckVerdict) -> str:
    """Return a row for each policy or criterion; an empty column is left out."""

    def word(result: CheckResult) -> str:
        icon = ICONS[phrases.kind_of_result(result, check)]
        return f"{icon}\N{NO-BREAK SPACE}{_text(phrases.word(result), SHORT)}"

    columns: dict[str, tuple[str, Callable[[CheckResult], str]]] = {
        phrases.noun(check): ("---", lambda result: _text(result.name, LONG)),
        "ThreadFix says": ("---", word),
        "limit": ("---", lambda result: _text(", ".join(result.limits), 2 * LONG)),
        "open": ("---:", lambda result: "" if result.count is None else str(result.count)),
        "evaluated": ("---", phrases.evaluated),
    }
    cells = {name: [cell(result) for result in results[:CHECK_ROWS]] for name, (_, cell) in columns.items()}
    known = {name: column for name, column in cells.items() if any(column)}
    lines = [known, [columns[name][0] for name in known], *zip(*known.values(), strict=True)]
    more = len(results) - CHECK_ROWS
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return table + (f"\n\n… and {more} more." if more > 0 else "")


def _obstacle(obstacle: Obstacle) -> str:
    name = _text(obstacle.name, 2 * LONG)
    name = f"[{name}](<{escape_html(obstacle.url)}>)" if obstacle.url else name
    severity = f" ({_text(obstacle.severity, SHORT)})" if obstacle.severity else ""
    place = f" in {_text(obstacle.place, 2 * LONG)}" if obstacle.place else ""
    return f"- {name}{severity}{place}"


def _timelines(scans: tuple[ScanVerdict, ...], room: int) -> list[str]:
    """Return the timelines, folded, scans that did not pass first, as many as fit."""

    def timeline(scan: ScanVerdict) -> str:
        name = f" {_text(scan.name, SHORT)}" if scan.name else ""
        return f"{ICONS[scan.conclusion.kind]} {scan.target.pending_scan_id}{name}\n\n{_drawn(scan.history)}"

    parts = _fitting(map(timeline, sorted(scans, key=lambda scan: scan.conclusion.kind is Kind.PASS)), room)
    return ["<details><summary>Timelines</summary>", *parts, "</details>"] if parts else []


def _drawn(history: History[Any, Any]) -> str:
    lines = "\n".join(map(escape_html, phrases.draw(history, PHASES)))
    return f"<pre>{lines}</pre>" if lines else ""


def _fitting(parts: Iterable[str], room: int, gap: int = 2) -> list[str]:
    """Return the first parts that fit into `room` bytes, with `gap` line breaks after each."""
    fitting: list[str] = []
    for part in parts:
        room -= len(part.encode()) + gap
        if room < 0:
            break
        fitting.append(part)
    return fitting


def _bytes(parts: Iterable[str]) -> int:
    """Return the bytes of parts, with the blank lines between them."""
    return sum(len(part.encode()) + 2 for part in parts)


def _text(text: str, limit: int) -> str:
    return escape_markdown(shorten(text, limit))


def _facts(verdict: Verdict) -> Iterator[str]:
    """Yield the build, with a link to its run, and the facts about the gate."""
    if verdict.build:
        link = [f"[run](<{escape_html(verdict.build.url)}>)"] if verdict.build.url else []
        yield "Build: " + " · ".join([*map(escape_markdown, phrases.build_facts(verdict.build)), *link])
    facts = [f"threadfix-gate {verdict.version}", escape_markdown(verdict.server)]
    if application := verdict.application:
        name, team = map(escape_markdown, (application.name, application.team))
        facts += [f"application {application.id}{name and f': {name}'}", team and f"team {team}"]
    facts += [f"took {seconds(verdict.elapsed)}", count(verdict.polls, "poll")]
    if verdict.errors:
        facts.append(f"{verdict.errors} of them failed")
    yield " · ".join(filter(None, facts))
