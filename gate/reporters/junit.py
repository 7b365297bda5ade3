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
    from collections.abc import Iterator, Sequence
    from typing import Any

    from gate.judge.conclusions import Conclusion
    from gate.judge.scans import ScanVerdict
    from gate.judge.verdict import Verdict
    from gate.model.history import History, Upload

SUITE: Final = "threadfix-gate"
ROWS: Final = 100  # policies and criteria that are listed of a check; the result document has all


def render(verdict: Verdict) -> str:
    """Return the report as XML text."""
    suite = TestSuite(SUITE)
    suite.timestamp = verdict.started_at.replace(tzinfo=None).isoformat(timespec="seconds")
    if verdict.application:
        for name, value in (("application", verdict.application.name), ("team", verdict.application.team)):
            if value:
                suite.add_property(name, escape_xml(value))
    suite.add_testcases(list(_cases(verdict)))
    report = JUnitXml(SUITE)
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    # The library keeps a time only if every case has it, and does not round: thousandths of seconds are enough.
    suite.time = round(verdict.elapsed, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue().decode("utf-8") + "\n"


def _cases(verdict: Verdict) -> Iterator[TestCase]:
    for place, upload in enumerate(verdict.uploads, 1):
        if part := verdict.ended(upload):
            name = f"upload {place}" if len(verdict.uploads) > 1 else "upload"
            result = f"{phrases.outcome(upload)} after {seconds(upload.elapsed)}"
            output = [f"{upload.file.shown}, {size(upload.file.size)}: {result}", *_digests([upload])]
            yield _case((name, upload.elapsed), part.conclusion, [describe(part)], output=output)
    for name, scan in _named(verdict):
        case = (name, scan.history.elapsed)
        output = [*_phases(scan.history), *_digests([scan.upload] if scan.upload else [])]
        yield _case(case, scan.conclusion, [describe(scan)], verdict.resume_line, output)
    for check in verdict.checks:
        rows = [phrases.row(result) for result in phrases.ordered(check.results)[:ROWS]]
        more = len(check.results) - len(rows)
        rows += [f"... and {more} more"] if more else []
        text = [describe(check), *rows, *(f"Blocked by: {phrases.obstacle_line(o)}" for o in check.obstacles)]
        output = [*_phases(check.history), *rows]
        yield _case((check.subject, check.history.elapsed), check.conclusion, text, verdict.resume_line, output)
    if not verdict.parts:
        name = "options" if verdict.invalid else "gate"
        yield _case((name, verdict.elapsed), verdict.conclusion, [verdict.conclusion.message])


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


def _case(
    named: tuple[str, float], conclusion: Conclusion, text: list[str], resume: str = "", output: list[str] | None = None
) -> TestCase:
    """Return the case of a name and its seconds; without an `output`, it has no such element."""
    case = TestCase(escape_xml(named[0]), classname=SUITE, time=round(named[1], 3))
    kinds = {Kind.FAIL: Failure, Kind.UNKNOWN: Error}
    if conclusion.kind in kinds:
        broken = kinds[conclusion.kind](escape_xml(conclusion.message), conclusion.reason.value)
        resuming = [resume] if resume and conclusion.resumable else []
        meaning, advice = plain(conclusion.meaning), plain(conclusion.hint)
        lines = [*text, f"What it means: {meaning}", *resuming, f"What to do: {advice}"]
        broken.text = "\n".join(map(escape_xml, lines))
        case.result = [broken]
    if output is not None:
        case.system_out = "\n".join(escape_xml(line).replace("[[", "[ [") for line in output)
    return case


def _digests(uploads: Sequence[Upload]) -> list[str]:
    return [f"SHA-256 {line}" for line in phrases.digests(uploads)[:ROWS]]


def _phases(history: History[Any, Any]) -> list[str]:
    return [f"{phase.status} {seconds(history.lasted(index))}" for index, phase in enumerate(history.phases)]
