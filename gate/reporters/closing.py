"""The end of the log: the verdict in one line, each part, what it means, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from gate.judge.checks import CheckVerdict
from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases
from gate.text.wording import count, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gate.judge.verdict import Verdict

SHORT: Final = 4  # parts; if there are more, the log lists only those that did not pass
ROWS: Final = 10  # policies and criteria that the log lists of a check; the reports have more
OBSTACLES: Final = 3  # vulnerabilities that the log lists of a check; the reports have ten


class LineKind(Enum):
    """The kind of a line, with its colour at a terminal."""

    PLAIN = "plain", ""
    PASS = "pass", "bold green"
    FAIL = "fail", "bold red"
    UNKNOWN = "unknown", "bold yellow"
    CHECK_PASSED = "check passed", "green"
    CHECK_FAILED = "check failed", "red"
    WARNING = "warning", "yellow"
    NOTICE = "notice", "bold cyan"
    ADVICE = "advice", "cyan"
    COMMAND = "command", "cyan"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of safe text (`gate.text.sanitizer.log_line`), wrapped with `indent` blanks; a command is not wrapped."""

    text: str
    kind: LineKind = LineKind.PLAIN
    indent: int = 2


def lines(verdict: Verdict, *, quiet: bool, annotated: bool) -> Iterator[Line]:
    """Yield the end of the log. A quiet log has no explanation; annotations replace the notices."""
    conclusion = verdict.conclusion
    for part in () if quiet or annotated else phrases.noticed(verdict):
        yield Line(f"notice: {describe(part)}", LineKind.NOTICE)
    if conclusion.downgraded:
        job = f"The job continues because of {verdict.naming.option(f'on-{conclusion.reason}', 'warn')}."
        yield Line(f"warning: the verdict is unknown, with exit code 0. {job}", LineKind.WARNING)
    message = conclusion.message
    if verdict.invalid and not quiet:
        message = f"{count(len(verdict.invalid), 'invalid option')}; nothing was sent."
    link = f" {verdict.url}" if verdict.url else ""
    code = f", exit code {conclusion.exit_code}" if conclusion.exit_code else ""
    kind = conclusion.kind.value.upper()
    yield Line(f"{kind} ({conclusion.reason.value}{code}): {message}{link}", LineKind[kind])
    if not quiet and conclusion.kind is not Kind.PASS:
        yield from _explanation(verdict)


def _explanation(verdict: Verdict) -> Iterator[Line]:
    """Yield the parts that need a line, the worst first, or the invalid options; then the meaning and the advice."""
    for part in phrases.urgent_first(verdict.parts):
        passed = part.conclusion.kind is Kind.PASS
        if not phrases.is_repeated(part, verdict) and (not passed or len(verdict.parts) <= SHORT):
            yield Line(f"  {part.conclusion.kind.value}: {describe(part)}", indent=4)
        if isinstance(part, CheckVerdict) and not passed:
            yield from _reasons(part)
    for invalid_option in verdict.invalid:
        yield Line(f"  {invalid_option}", indent=4)
    if not verdict.invalid:
        yield Line(f"What it means: {plain(verdict.conclusion.meaning)}", LineKind.ADVICE)
    if verdict.resume:
        yield Line(verdict.resume_line, LineKind.COMMAND)
    yield Line(f"What to do: {plain(verdict.conclusion.hint)}", LineKind.ADVICE)


def _reasons(check: CheckVerdict) -> Iterator[Line]:
    """Yield the results that do not hold, and the vulnerabilities."""
    broken = [result for result in phrases.ordered(check.results) if not result.holds]
    for result in broken[:ROWS]:
        yield Line(f"    {phrases.row(result)}", indent=6)
    if len(broken) > ROWS:
        yield Line(f"    ... and {len(broken) - ROWS} more")
    for obstacle in check.obstacles[:OBSTACLES]:
        yield Line(f"    blocked by: {phrases.obstacle_line(obstacle)}", indent=6)
    more = len(check.obstacles) - OBSTACLES
    if more > 0:
        yield Line(f"    ... and {more} more")
