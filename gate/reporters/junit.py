"""The JUnit report: one suite, a case for each part of the verdict; fail is a failure, unknown is an error.

The parts are uploads that made no pending scan, pending scans, and checks of the release. A case has the same name in
every build, because history and trend depend on names; ids are in the text. GitLab keeps only the text of a failure and
drops its `message`, so the text is complete. GitLab also takes `[[ATTACHMENT|path]]` in a case's output for a link
to an artifact, and reads a `type` such as `yaml` as an instruction; no reason is such a word.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from gate.judge.conclusions import describe
from gate.model.reasons import Kind
from gate.reporters import phrases
from gate.text.sanitizer import escape_xml
from gate.text.wording import plain, seconds, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.history import History

SUITE: Final = "threadfix-gate"
ROWS: Final = 100  # policies and criteria that are listed of a check; the result document has all


def render(verdict: Verdict) -> str:
    """Return the report as XML text."""
    suite = TestSuite(SUITE)
    suite.timestamp = verdict.started_at.replace(tzinfo=None).isoformat(timespec="seconds")
    for place, upload in enumerate(verdict.uploads, 1):
        part = verdict.ended(upload)
        if part:
            name = f"upload {place}" if len(verdict.uploads) > 1 else "upload"
            case = _case(name, upload.elapsed, part.conclusion, [describe(part)])
            result = f"{phrases.outcome(upload)} after {seconds(upload.elapsed)}"
            case.system_out = _output([f"{upload.file.shown}, {size(upload.file.size)}: {result}"])
            suite.add_testcase(case)
    for name, scan in _named(verdict):
        case = _case(name, scan.history.elapsed, scan.conclusion, [describe(scan)], verdict.resume_line)
        case.system_out = _output(_phases(scan.history))
        suite.add_testcase(case)
    for check in verdict.checks:
        text = [describe(check), *_rows(check), *(f"Blocked by: {phrases.obstacle_line(o)}" for o in check.obstacles)]
        case = _case(check.subject, check.history.elapsed, check.conclusion, text, verdict.resume_line)
        case.system_out = _output([*_phases(check.history), *_rows(check)])
        suite.add_testcase(case)
    if not verdict.parts:
        name = "options" if verdict.invalid else "gate"
        suite.add_testcase(_case(name, verdict.elapsed, verdict.conclusion, [verdict.conclusion.message]))
    report = JUnitXml(SUITE)
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    # The library keeps a time only if every case has it, and does not round: thousandths of seconds are enough.
    suite.time = round(verdict.elapsed, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue().decode("utf-8") + "\n"


def _named(verdict: Verdict) -> Iterator[tuple[str, ScanVerdict]]:
    """Yield each pending scan with the name of its case.

    The scan of an upload is numbered by the place of its file, also if earlier files were refused.
    """
    slots: list[list[ScanVerdict]] = [[scan] for scan in verdict.scans if scan.upload is None]
    slots += [[scan for scan in verdict.scans if scan.upload == upload] for upload in verdict.uploads]
    several = sum(max(len(slot), 1) for slot in slots) > 1
    number = 0
    for slot in slots:
        for scan in slot:
            number += 1
            yield f"pending scan {number}" if several else "pending scan", scan
        number += not slot


def _case(name: str, elapsed: float, conclusion: Conclusion, text: Iterable[str], resume: str = "") -> TestCase:
    # GitLab keeps only the first of two cases with the same name.
    case = TestCase(escape_xml(name), classname=SUITE, time=round(elapsed, 3))
    kinds = {Kind.FAIL: Failure, Kind.UNKNOWN: Error}
    if conclusion.kind in kinds:
        broken = kinds[conclusion.kind](escape_xml(conclusion.message), conclusion.reason.value)
        resuming = [resume] if resume and conclusion.resumable else []
        meaning, advice = plain(conclusion.meaning), plain(conclusion.hint)
        lines = [*text, f"What it means: {meaning}", *resuming, f"What to do: {advice}"]
        broken.text = "\n".join(escape_xml(line) for line in lines)
        case.result = [broken]
    return case


def _phases(history: History[Any, Any]) -> Iterator[str]:
    for index, phase in enumerate(history.phases):
        yield f"{phase.status} {seconds(history.lasted(index))}"


def _rows(check: CheckVerdict) -> Iterator[str]:
    """Yield each policy or criterion, those that do not hold first."""
    yield from map(phrases.row, phrases.ordered(check.results)[:ROWS])
    if len(check.results) > ROWS:
        yield f"... and {len(check.results) - ROWS} more"


def _output(lines: Iterable[str]) -> str:
    return "\n".join(escape_xml(line).replace("[[", "[ [") for line in lines)
