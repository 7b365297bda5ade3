"""The JUnit report: one suite, one case a pending scan; fail is a failure, unknown is an error.

A case has the same name in every build, since history and trend hang on names; ids stand in the text. GitLab keeps only
the text of a failure and drops its `message`, so the text says everything.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from gate.reasons import Kind
from gate.text import escape_xml
from gate.wording import seconds

if TYPE_CHECKING:
    from gate.verdict import Conclusion, ScanVerdict, Verdict

SUITE = "threadfix-gate"


def render(verdict: Verdict) -> str:
    """The report as XML text."""
    suite = TestSuite(SUITE)
    suite.timestamp = verdict.started_at.replace(tzinfo=None).isoformat(timespec="seconds")
    for number, scan in enumerate(verdict.scans, 1):
        # Of two cases with one name GitLab keeps the first.
        name = f"pending scan {number}" if len(verdict.scans) > 1 else "pending scan"
        case = _case(name, scan.history.elapsed, scan.conclusion, f"{scan.subject}: ")
        case.system_out = _walk(scan)
        suite.add_testcase(case)
    if not verdict.scans:
        suite.add_testcase(_case("options", verdict.elapsed, verdict.conclusion))
    report = JUnitXml(SUITE)
    report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    # The library keeps a time only where every case has one, and rounds none: seconds with a thousandth are enough.
    suite.time = round(verdict.elapsed, 3)
    written = io.BytesIO()
    report.write(written)
    return written.getvalue().decode("utf-8") + "\n"


def _case(name: str, elapsed: float, conclusion: Conclusion, subject: str = "") -> TestCase:
    case = TestCase(name, classname=SUITE, time=round(elapsed, 3))
    kinds = {Kind.FAIL: Failure, Kind.UNKNOWN: Error}
    if conclusion.kind in kinds:
        broken = kinds[conclusion.kind](escape_xml(conclusion.message), conclusion.reason.value)
        lines = (
            f"{subject}{conclusion.message}",
            f"What it means: {conclusion.meaning}",
            f"What to do: {conclusion.hint}",
        )
        broken.text = "\n".join(escape_xml(line) for line in lines)
        case.result = [broken]
    return case


def _walk(scan: ScanVerdict) -> str:
    history = scan.history
    return "\n".join(
        f"{escape_xml(phase.status)} {seconds(history.lasted(index))}" for index, phase in enumerate(history.phases)
    )
