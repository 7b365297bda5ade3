"""What was seen means: from the histories of the pending scans to pass, fail or unknown. Pure.

A verdict has parts, one for each thing that was asked for; the worst part decides. It never says pass unless the newest
reading of every scan is a success status without error (`gate.rules`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from gate import __version__
from gate.errors import UsageError
from gate.history import Failure, ScanHistory, StopCause
from gate.naming import FLAGS, Naming
from gate.reasons import DIAGNOSABLE, DIAGNOSIS, Kind, Reason
from gate.rules import Decision
from gate.threadfix.statuses import DELETED, INTERRUPTED, description, normal
from gate.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gate.build import Build
    from gate.errors import Cancelled, GateError, InvalidOption
    from gate.history import ScanReading, Target
    from gate.rules import Rules
    from gate.settings import Settings

RESUMABLE = frozenset({Reason.TIMEOUT, Reason.CANCELLED, Reason.UNREACHABLE})
"""Reasons after which waiting on may bring the answer."""
_RANK = {Kind.FAIL: 0, Kind.UNKNOWN: 1, Kind.PASS: 2}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a part of the gate, or the gate as a whole, comes to. Its texts are safe.

    Attributes:
        reason: why; it has the kind (pass, fail, unknown).
        message: what happened, with the names and numbers; it does not name its subject.
        meaning: what that means for the person at the red build.
        hint: what to do next; empty for a pass.
        exit_code: of the reason, or 0 where the user asked for a warning only.
    """

    reason: Reason
    message: str
    meaning: str
    hint: str
    exit_code: int

    @property
    def kind(self) -> Kind:
        """The word that the gate says."""
        return self.reason.row.kind

    @property
    def downgraded(self) -> bool:
        """Whether the verdict is unknown, and the user asked for exit code 0 all the same."""
        return self.kind is Kind.UNKNOWN and self.exit_code == 0


class Part(Protocol):
    """One thing that was asked for, and what it came to."""

    @property
    def subject(self) -> str:
        """What it is about, as people call it; safe text."""
        ...

    @property
    def conclusion(self) -> Conclusion:
        """What it came to."""
        ...

    @property
    def url(self) -> str | None:
        """Where a person can see it; None where that is not known."""
        ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class ScanVerdict:
    """What a pending scan came to, and the history that says so.

    Attributes:
        conclusion: what it came to.
        history: all that was seen of it.
        url: link to the scan in ThreadFix; None where a part of it is not known.
    """

    conclusion: Conclusion
    history: ScanHistory
    url: str | None = None

    @property
    def subject(self) -> str:
        """The pending scan and its name, where ThreadFix gave one."""
        return f"{self.target} ({self.name})" if self.name else f"{self.target}"

    @property
    def target(self) -> Target:
        """Which pending scan."""
        return self.history.target

    @property
    def scan_id(self) -> int | None:
        """The finished scan's id, where ThreadFix gave it."""
        return self.history.reading.scan_id if self.history.reading else None

    @property
    def name(self) -> str | None:
        """The scan's name, usually that of the uploaded file."""
        return self.history.reading.name if self.history.reading else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finished verdict: all that a reporter reads.

    Attributes:
        conclusion: of the gate as a whole; its message names the subject.
        scans: the parts about pending scans, in the order asked for.
        started_at, finished_at: UTC.
        elapsed: seconds, on a monotonic clock.
        server: origin of the ThreadFix server; empty when it is not known.
        resume: the command that waits on; empty where there is nothing to wait for.
        mistakes: the invalid options; `str()` of one is its sentence.
        result_file: path of the result document, as asked for; empty when none was.
        build: which build of a CI system this was; None outside of one.
        version: of the gate.
        naming: how texts name an option.
    """

    conclusion: Conclusion
    started_at: datetime
    finished_at: datetime
    elapsed: float
    scans: tuple[ScanVerdict, ...] = ()
    server: str = ""
    resume: str = ""
    mistakes: tuple[InvalidOption, ...] = ()
    result_file: str = ""
    build: Build | None = None
    version: str = __version__
    naming: Naming = FLAGS

    @property
    def how_to_resume(self) -> tuple[str, str]:
        """What to do to keep waiting, and the command or the inputs to do it with; for where there is a `resume`."""
        if not self.naming.inputs:
            return "To keep waiting, run:", self.resume
        targets = [scan.target for scan in self.scans]
        ids = ",".join(str(target.pending_scan_id) for target in targets)
        inputs = f"application-id: {targets[0].application_id}\npending-scan-id: {ids}"
        return "To keep waiting, run the action again with:", inputs

    @property
    def resume_line(self) -> str:
        """The same in one line; empty where there is nothing to wait for."""
        how, what = self.how_to_resume if self.resume else ("", "")
        return f"{how} {what}".replace("\n", ", ").strip()

    @property
    def deciding_scan(self) -> ScanVerdict | None:
        """The part that decided; None where the gate never came to ask."""
        return decide(self.scans) if self.scans else None

    @property
    def polls(self) -> int:
        """Requests made, for all scans together."""
        return sum(scan.history.polls for scan in self.scans)

    @property
    def errors(self) -> int:
        """Requests among them that failed."""
        return sum(scan.history.errors for scan in self.scans)


def name_options(conclusion: Conclusion, naming: Naming) -> Conclusion:
    """The conclusion with the names of options in its texts, which are templates until then."""
    return replace(
        conclusion,
        message=naming.fill(conclusion.message),
        meaning=naming.fill(conclusion.meaning),
        hint=naming.fill(conclusion.hint),
    )


def describe(part: Part) -> str:
    """What a part came to, with its subject."""
    return f"{part.subject}: {part.conclusion.message}"


def judge_scan(history: ScanHistory, settings: Settings, cancelled: Cancelled | None = None) -> ScanVerdict:
    """What one history means."""
    conclusion = _conclusion_of(history, settings, cancelled)
    if conclusion.reason in settings.downgraded:
        conclusion = replace(conclusion, exit_code=0)
    answer = history.reading
    return ScanVerdict(conclusion, history, settings.scan_url(history.target, answer.scan_id if answer else None))


def decide(parts: Sequence[P]) -> P:
    """The part that decides: fail before unknown before pass; of unknowns one that ends the job; then the first."""
    return min(parts, key=lambda part: (_RANK[part.conclusion.kind], part.conclusion.exit_code == 0))


def conclude(parts: Sequence[Part]) -> Conclusion:
    """The conclusion of the gate as a whole, from those of at least one part."""
    deciding_scan = decide(parts)
    worst = deciding_scan.conclusion
    if len(parts) == 1:
        return replace(worst, message=describe(deciding_scan))
    like = [part for part in parts if part.conclusion.kind is worst.kind]
    if worst.kind is Kind.PASS:
        return replace(worst, message=f"all {len(parts)} pending scans were processed.")
    verb = "failed" if worst.kind is Kind.FAIL else "are undecided"
    message = f"{len(like)} of {len(parts)} pending scans {verb}; the deciding one: {describe(deciding_scan)}"
    return replace(worst, message=message)


def from_error(error: GateError) -> Conclusion:
    """The conclusion when the gate ended before ThreadFix was asked."""
    if isinstance(error, UsageError):
        message = f"{count(len(error.invalid), 'invalid option')}: {error}"
    else:
        message = f"{error}, before there was a verdict."
    return replace(_concluded(error.reason, message, error.hint), exit_code=error.exit_code)


def from_bug(error: BaseException) -> Conclusion:
    """The conclusion when the gate itself broke. The error's own text may hold anything, so it is left out."""
    return _concluded(Reason.INTERNAL, f"internal error: {type(error).__name__}.")


def _concluded(reason: Reason, message: str, hint: str | None = None, meaning: str | None = None) -> Conclusion:
    row = reason.row
    advice = "" if row.kind is Kind.PASS else hint or row.advice
    if reason in DIAGNOSABLE:
        advice = f"{advice} {DIAGNOSIS}"
    return Conclusion(reason, message, meaning or row.meaning, advice, row.exit_code)


def _conclusion_of(history: ScanHistory, settings: Settings, cancelled: Cancelled | None) -> Conclusion:
    if history.ended is StopCause.CANCELLED:
        conclusion = _concluded(Reason.CANCELLED, f"{_so_far(history)} when the gate was stopped {_after(history)}.")
        return replace(conclusion, exit_code=cancelled.exit_code) if cancelled else conclusion
    if history.ended is StopCause.FAIL_FAST:
        message = f"{_so_far(history)} when another one failed ({{--fail-fast}})."
        return _concluded(Reason.CANCELLED, message, "Run the gate on this scan alone.")
    if history.ended is StopCause.DEADLINE and history.reading:
        return _timed_out(history, settings.plan.timeout)
    if isinstance(history.newest, Failure):
        return _failed_with(history, history.newest)
    return _read_as(history, history.newest, settings.rules)


def _read_as(history: ScanHistory, answer: ScanReading, rules: Rules) -> Conclusion:
    decision = rules.decide(answer)
    if decision is Decision.SUCCESS:
        scan = f" as scan {answer.scan_id}" if answer.scan_id else ""
        return _concluded(Reason.PROCESSED, f"processed{scan} {_after(history)} ({answer.status}).")
    if decision in (Decision.ERROR, Decision.FAILURE):
        # Of all texts the server's own error message is the one that a person at a red build needs.
        said = (answer.error_message or answer.message or description(answer.status)).rstrip(".")
        flag = " with its error flag set" if answer.error else ""
        message = f"ended as {answer.status}{flag} {_after(history)}."
        meaning, hint = (None, None) if answer.error else FAILED.get(normal(answer.status), (None, None))
        return _concluded(
            Reason.SCAN_FAILED, f"{message} ThreadFix says: '{said}'." if said else message, hint, meaning
        )
    return _concluded(Reason.UNKNOWN_STATUS, f"has the status {answer.status}, which is not documented.")


FAILED = {
    DELETED: (
        "Somebody deleted the scan before it was processed. Its findings are not in ThreadFix.",
        "Upload the scan again; if it happens twice, ask your ThreadFix administrator who deletes scans.",
    ),
    INTERRUPTED: (
        "ThreadFix stopped processing the scan, perhaps because it was restarted. Its findings are not in ThreadFix.",
        "Upload the scan again; if it happens twice, ask your ThreadFix administrator for the server's log.",
    ),
}
"""What a failure status means and what to do, by its normal form; an error flag says less than its message."""


def _failed_with(history: ScanHistory, newest: Failure) -> Conclusion:
    """The conclusion when the newest observation is a failure that nothing better came after."""
    if newest.reason is Reason.NOT_FOUND and history.reading:
        message = f"no longer exists; its last status was {history.reading.status}. {newest.what}"
        return _concluded(Reason.SCAN_VANISHED, message, newest.hint)
    return _concluded(newest.reason, f"{newest.what}{_stretch(history)}", newest.hint, newest.meaning)


def _stretch(history: ScanHistory) -> str:
    outage = history.outages[-1]
    if outage.polls == 1:
        return ""
    return f" This went on for {seconds(history.elapsed - outage.began)} ({outage.polls} failed polls)."


def _timed_out(history: ScanHistory, timeout: float) -> Conclusion:
    limit = f"when the timeout expired ({seconds(timeout)})" if timeout else "when asked once ({--timeout 0})"
    message = f"{_so_far(history)} {limit}."
    if isinstance(history.newest, Failure):
        message = f"{message} The newest poll failed: {history.newest.what}"
    return _concluded(Reason.TIMEOUT, message)


def _after(history: ScanHistory) -> str:
    return f"after {seconds(history.elapsed)}"


def _so_far(history: ScanHistory) -> str:
    if history.reading is None:
        return "no status received yet"
    unchanged = history.lasted(len(history.phases) - 1)
    return (
        f"had been {history.reading.status} for {seconds(unchanged)}"
        if unchanged >= 1
        else f"was {history.reading.status}"
    )
