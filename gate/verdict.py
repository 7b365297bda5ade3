"""What a history means: from what was seen of the pending scans to pass, fail or unknown. Pure.

It never says pass unless the newest answer of every scan is a success status without error (`Rules.decide`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gate import __version__
from gate.errors import UsageError
from gate.history import End, Trouble
from gate.reasons import Kind, Reason
from gate.text import count, seconds
from gate.threadfix.statuses import Decision, words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gate.errors import Cancelled, GateError
    from gate.history import Answer, History, Target
    from gate.settings import Settings
    from gate.threadfix.statuses import Rules

RESUMABLE = frozenset({Reason.TIMEOUT, Reason.CANCELLED, Reason.UNREACHABLE})
"""Reasons after which waiting on may bring the answer."""
_RANK = {Kind.FAIL: 0, Kind.UNKNOWN: 1, Kind.PASS: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one pending scan, or the gate as a whole, comes to.

    Attributes:
        reason: why; it has the kind (pass, fail, unknown).
        message: one sentence that says what happened, with the names and numbers; safe text.
        hint: what to do next; empty for a pass.
        exit_code: of the reason, or 0 where the user asked for a warning only.
    """

    reason: Reason
    message: str
    hint: str
    exit_code: int

    @property
    def kind(self) -> Kind:
        """The word that the gate says."""
        return self.reason.row.kind

    @property
    def softened(self) -> bool:
        """Whether the verdict is unknown, and the user asked for exit code 0 all the same."""
        return self.kind is Kind.UNKNOWN and self.exit_code == 0


@dataclass(frozen=True, slots=True)
class ScanVerdict:
    """The finding about one pending scan, and the history it rests on."""

    finding: Finding
    history: History
    url: str | None = None

    @property
    def target(self) -> Target:
        """Which pending scan."""
        return self.history.target

    @property
    def told(self) -> str:
        """The message, with the scan named in it, for where there are several."""
        message = self.finding.message
        return message if str(self.target) in message else f"{self.target}: {message}"

    @property
    def scan_id(self) -> int | None:
        """The finished scan's id, where ThreadFix gave it."""
        return self.history.answer.scan_id if self.history.answer else None

    @property
    def name(self) -> str | None:
        """The scan's name, usually that of the uploaded file."""
        return self.history.answer.name if self.history.answer else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finished verdict: all that a reporter reads.

    Attributes:
        finding: of the gate as a whole.
        scans: in the order asked for.
        started_at, finished_at: UTC.
        elapsed: seconds, on a monotonic clock.
        server: origin of the ThreadFix server; empty when it is not known.
        resume: the command that waits on; empty where there is nothing to wait for.
        decider: the scan that decided, where there are scans.
        mistakes: of the options, one sentence each.
        result_file: path of the result document, as asked for; empty when none was.
        version: of the gate.
    """

    finding: Finding
    started_at: datetime
    finished_at: datetime
    elapsed: float
    scans: tuple[ScanVerdict, ...] = ()
    server: str = ""
    resume: str = ""
    decider: ScanVerdict | None = None
    mistakes: tuple[str, ...] = ()
    result_file: str = ""
    version: str = __version__

    @property
    def polls(self) -> int:
        """Requests made, for all scans together."""
        return sum(scan.history.polls for scan in self.scans)

    @property
    def errors(self) -> int:
        """Requests among them that brought trouble."""
        return sum(scan.history.errors for scan in self.scans)


def judge_scan(history: History, settings: Settings, cancelled: Cancelled | None = None) -> ScanVerdict:
    """What one history means."""
    finding = _finding(history, settings, cancelled)
    if finding.reason in settings.softened:
        finding = replace(finding, exit_code=0)
    answer = history.answer
    return ScanVerdict(finding, history, settings.scan_url(history.target, answer.scan_id if answer else None))


def decide(scans: Sequence[ScanVerdict]) -> ScanVerdict:
    """The scan that decides: fail before unknown before pass; of unknowns one that ends the job; then the first."""
    return min(scans, key=lambda scan: (_RANK[scan.finding.kind], scan.finding.exit_code == 0))


def conclude(scans: Sequence[ScanVerdict]) -> Finding:
    """The finding of the gate as a whole, from those of at least one scan."""
    decider = decide(scans)
    worst = decider.finding
    if len(scans) == 1:
        return worst
    like = [scan for scan in scans if scan.finding.kind is worst.kind]
    if worst.kind is Kind.PASS:
        return replace(worst, message=f"all {len(scans)} pending scans were processed.")
    verb = "failed" if worst.kind is Kind.FAIL else "are undecided"
    return replace(worst, message=f"{len(like)} of {len(scans)} pending scans {verb}; the deciding one: {decider.told}")


def from_error(error: GateError) -> Finding:
    """The finding when the gate ended before ThreadFix was heard."""
    if isinstance(error, UsageError):
        message = f"{count(len(error.mistakes), 'mistake')} in the options: {' '.join(error.mistakes)}"
    else:
        message = f"{error}, before there was a verdict."
    return Finding(error.reason, message, error.hint, error.exit_code)


def from_bug(error: BaseException) -> Finding:
    """The finding when the gate itself broke. The error's own text may hold anything, so it is left out."""
    message = f"the gate broke: {type(error).__name__}."
    return Finding(Reason.INTERNAL, message, Reason.INTERNAL.row.do, Reason.INTERNAL.row.exit_code)


def _found(reason: Reason, message: str, hint: str | None = None) -> Finding:
    do = "" if reason.row.kind is Kind.PASS else reason.row.do
    return Finding(reason, message, hint or do, reason.row.exit_code)


def _finding(history: History, settings: Settings, cancelled: Cancelled | None) -> Finding:
    if history.ended is End.CANCELLED:
        message = f"{history.target} {_so_far(history)} when the gate was stopped after {seconds(history.elapsed)}."
        finding = _found(Reason.CANCELLED, message)
        return replace(finding, exit_code=cancelled.exit_code) if cancelled else finding
    if history.ended is End.FAIL_FAST:
        message = f"{history.target} {_so_far(history)} when another one failed (--fail-fast)."
        return _found(Reason.CANCELLED, message, "Run the gate on this scan alone, if it matters what becomes of it.")
    if history.ended is End.DEADLINE and history.answer:
        return _timed_out(history, settings.plan.timeout)
    if isinstance(history.newest, Trouble):
        return _troubled(history, history.newest)
    return _answered(history, history.newest, settings.rules)


def _answered(history: History, answer: Answer, rules: Rules) -> Finding:
    decision = rules.decide(answer)
    target = f"{history.target} ({answer.name})" if answer.name else f"{history.target}"
    took = f"after {seconds(history.elapsed)}"
    if decision is Decision.SUCCESS:
        scan = f" as scan {answer.scan_id}" if answer.scan_id else ""
        return _found(Reason.PROCESSED, f"{target} was processed{scan} {took}: {answer.status}.")
    if decision in (Decision.ERROR, Decision.FAILURE):
        # Of all texts the server's own error message is the one that a person at a red build needs.
        said = (answer.error_message or answer.message or words(answer.status)).rstrip(".")
        flag = " with its error flag set" if answer.error else ""
        message = f"{target} ended as {answer.status}{flag} {took}."
        return _found(Reason.SCAN_FAILED, f"{message} ThreadFix says: “{said}”." if said else message)
    return _found(Reason.UNKNOWN_STATUS, f"{target} answers the status {answer.status}, which is not documented.")


def _troubled(history: History, newest: Trouble) -> Finding:
    """The finding when the newest observation is trouble that nothing better came after."""
    if newest.reason is Reason.NOT_FOUND and history.answer:
        message = f"{history.target} had answered {history.answer.status}, and is not there any more: {newest.what}"
        return _found(Reason.SCAN_VANISHED, message, newest.hint)
    return _found(newest.reason, f"{newest.what}{_stretch(history)}", newest.hint)


def _stretch(history: History) -> str:
    outage = history.outages[-1]
    if outage.polls == 1:
        return ""
    return f" This went on for {seconds(history.elapsed - outage.began)}, in {outage.polls} polls."


def _timed_out(history: History, timeout: float) -> Finding:
    limit = f"when the time was up ({seconds(timeout)})" if timeout else "when asked once (--timeout 0)"
    message = f"{history.target} {_so_far(history)} {limit}."
    if isinstance(history.newest, Trouble):
        message = f"{message} The newest answer was trouble: {history.newest.what}"
    return _found(Reason.TIMEOUT, message)


def _so_far(history: History) -> str:
    if history.answer is None:
        return "had not answered yet"
    unchanged = history.lasted(len(history.phases) - 1)
    return f"was still {history.answer.status}" + (f" for {seconds(unchanged)}" if unchanged >= 1 else "")
