"""The JUnit report: one suite, one case a pending scan; fail is a failure, unknown is an error.

A case has the same name in every build, since history and trend hang on names; ids stand in the text. GitLab keeps only
the text of a failure and drops its `message`, so the text says everything. GitLab also takes `[[ATTACHMENT|path]]` in a
case's output for a link to an artifact, and reads a `type` such as `yaml` as an instruction; a reason is none of these.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from gate.conclusions import describe
from gate.reasons import Kind
from gate.text import escape_xml
from gate.wording import plain, seconds

if TYPE_CHECKING:
    from gate.conclusions import Conclusion
    from gate.parts.scans import ScanVerdict
    from gate.verdict import Verdict

SUITE = "threadfix-gate"


def render(verdict: Verdict) -> str:
    """The report as XML text."""
    suite = TestSuite(SUITE)
    suite.timestamp = verdict.started_at.replace(tzinfo=None).isoformat(timespec="seconds")
    for number, scan in enumerate(verdict.scans, 1):
        # Of two cases with one name GitLab keeps only one.
        name = f"pending scan {number}" if len(verdict.scans) > 1 else "pending scan"
        case = _case(name, scan.history.elapsed, scan.conclusion, describe(scan), verdict.resume_line)
        case.system_out = _statuses(scan)
        suite.add_testcase(case)
    if not verdict.scans:
        name = "options" if verdict.mistakes else "gate"
        suite.add_testcase(_case(name, verdict.elapsed, verdict.conclusion, verdict.conclusion.message))
    report = JUnitXml(SUITE)
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    # The library keeps a time only where every case has one, and rounds none: seconds with a thousandth are enough.
    suite.time = round(verdict.elapsed, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue().decode("utf-8") + "\n"


def _case(name: str, elapsed: float, conclusion: Conclusion, message: str, resume: str = "") -> TestCase:
    case = TestCase(name, classname=SUITE, time=round(elapsed, 3))
    kinds = {Kind.FAIL: Failure, Kind.UNKNOWN: Error}
    if conclusion.kind in kinds:
        broken = kinds[conclusion.kind](escape_xml(conclusion.message), conclusion.reason.value)
        lines = [message, f"What it means: {plain(conclusion.meaning)}"]
        if resume and conclusion.resumable:
            lines.append(resume)
        lines.append(f"What to do: {plain(conclusion.hint)}")
        broken.text = "\n".join(escape_xml(line) for line in lines)
        case.result = [broken]
    return case


def _statuses(scan: ScanVerdict) -> str:
    lines = [f"{phase.status} {seconds(scan.history.lasted(index))}" for index, phase in enumerate(scan.history.phases)]
    return "\n".join(escape_xml(line).replace("[[", "[ [") for line in lines)
