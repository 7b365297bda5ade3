"""Conclude from uploads and pending scans. A scan passes only if its newest reading is a success. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from gate.judge.conclusions import Conclusion, concluded, concluded_from
from gate.model.advice import UPLOAD_AGAIN, UPLOAD_UNCERTAIN
from gate.model.history import Accept, Failure, Finished, Queued, Refused, StopCause, Unfinished
from gate.model.reasons import Reason
from gate.text.wording import seconds
from gate.threadfix.rules import DELETED, INTERRUPTED, MERGED, UNDOCUMENTED, Decision, description, normal

if TYPE_CHECKING:
    from gate.model.history import Application, History, Refusal, ScanHistory, ScanReading, Upload
    from gate.model.reasons import Cancelled
    from gate.model.subjects import Target
    from gate.options.settings import Settings
    from gate.threadfix.rules import Rules

ACCEPTED = {Accept.DUPLICATE: Reason.ALREADY_IMPORTED, Accept.EMPTY: Reason.EMPTY_SCAN}
"""The reason of a pass despite a refusal that the user accepts."""


@dataclass(frozen=True, slots=True)
class ScanVerdict:
    """The conclusion about a pending scan, with its history."""

    noun: ClassVar[str] = "pending scan"
    conclusion: Conclusion
    history: ScanHistory
    url: str | None = None  # the scan's page in ThreadFix; None if unknown
    upload: Upload | None = None  # its upload; None if the gate did not upload the file

    @property
    def subject(self) -> str:
        """The pending scan, with its name if known."""
        return f"{self.target} ({self.name})" if self.name else f"{self.target}"

    @property
    def target(self) -> Target:
        """The pending scan."""
        return self.history.target

    @property
    def scan_id(self) -> int | None:
        """The id of the finished scan; None if unknown."""
        return self.history.reading.scan_id if self.history.reading else None

    @property
    def name(self) -> str | None:
        """The scan's name in ThreadFix, otherwise the file's; None if neither is known."""
        name = self.history.reading.name if self.history.reading else None
        return name or (self.upload.file.shown if self.upload else None)


def judge_scan(
    history: ScanHistory,
    settings: Settings,
    cancelled: Cancelled | None = None,
    *,
    upload: Upload | None = None,
    application: Application | None = None,
) -> ScanVerdict:
    """Return the verdict on a pending scan from its history.

    `upload` created the pending scan; the application is for the link.
    """
    conclusion = _conclusion_of(history, settings, cancelled, is_ours=upload is not None).downgrade(settings.downgraded)
    target, scan_id = history.target, history.reading.scan_id if history.reading else None
    team_id = application.team_id if application else None
    url = settings.scan_url(target.application_id, scan_id, target.pending_scan_id, team_id)
    return ScanVerdict(conclusion, history, url, upload)


def _conclusion_of(
    history: ScanHistory, settings: Settings, cancelled: Cancelled | None, *, is_ours: bool
) -> Conclusion:
    if history.ended is StopCause.CANCELLED:
        conclusion = concluded(Reason.CANCELLED, f"{_so_far(history)} when the gate was stopped {_after(history)}.")
        return replace(conclusion, exit_code=cancelled.exit_code) if cancelled else conclusion
    if history.ended is StopCause.DEADLINE and (history.reading or (is_ours and _is_not_found(history.newest))):
        return _timed_out(history, settings)
    if isinstance(history.newest, Failure):
        return _failed_with(history, history.newest)
    return _read_as(history, history.newest, settings.rules)


def _is_not_found(newest: ScanReading | Failure) -> bool:
    """Return whether ThreadFix does not know the scan. Right after an upload, another node may not know it yet."""
    return isinstance(newest, Failure) and newest.reason is Reason.NOT_FOUND


def _read_as(history: ScanHistory, reading: ScanReading, rules: Rules) -> Conclusion:
    decision = rules.decide(reading)
    if decision is Decision.SUCCESS:
        scan = f" as scan {reading.scan_id}" if reading.scan_id else ""
        text = f" ThreadFix's error message: '{reading.error_message.rstrip('.')}'." if reading.error_message else ""
        return concluded(Reason.PROCESSED, f"processed{scan} {_after(history)} ({reading.status}).{text}")
    if decision is Decision.ACCEPTED and reading.refusal and reading.refusal.accept:
        message = f"not imported {_after(history)}; ThreadFix says: '{reading.refusal.text.rstrip('.')}'."
        return concluded(ACCEPTED[reading.refusal.accept], message)
    if decision in (Decision.ERROR, Decision.FAILURE):
        # The server's own error message helps the person at a red build most.
        text = (reading.error_message or reading.message or description(reading.status)).rstrip(".")
        flag = " with its error flag set" if reading.error else ""
        message = f"ended as {reading.status}{flag} {_after(history)}."
        meaning, hint = FAILED.get((normal(reading.status), reading.error), (None, None))
        if reading.refusal:
            meaning, hint = reading.refusal.meaning, reading.refusal.advice
        return concluded(Reason.SCAN_FAILED, f"{message} ThreadFix says: '{text}'." if text else message, hint, meaning)
    return concluded(Reason.UNKNOWN_STATUS, f"has the status {reading.status}, which is not documented.")


FAILED = {
    (DELETED, False): (
        "The scan was deleted before it was processed. Its findings are not in ThreadFix.",
        "Upload the scan again; if it happens twice, ask your ThreadFix administrator who deletes scans.",
    ),
    (INTERRUPTED, False): (
        "ThreadFix stopped processing the scan, perhaps because it was restarted. Its findings are not in ThreadFix.",
        "Upload the scan again; if it happens twice, ask your ThreadFix administrator for the server's log.",
    ),
    **dict.fromkeys(
        ((status, True) for status in MERGED),
        (
            "ThreadFix reports an error after it had merged the scan, so its findings are probably in ThreadFix.",
            "Look at the application's scans in ThreadFix. LINKING_DEFECTS often fails because of the defect tracker.",
        ),
    ),
}
"""Meaning and advice by the normal form of a status, and whether the error flag is set."""


def _failed_with(history: ScanHistory, newest: Failure) -> Conclusion:
    # A 404 page may also be a proxy's, or that of a Tomcat that is deploying ThreadFix.
    if newest.reason is Reason.NOT_FOUND and newest.refused and history.reading:
        message = f"no longer exists; its last status was {history.reading.status}. {newest.what}"
        return concluded(Reason.SCAN_VANISHED, message)
    return concluded_from(newest, f"{newest.what}{outage_length(history)}")


def outage_length(history: History[Any, Any]) -> str:
    """Return a sentence with the length of the newest outage; empty for a single error."""
    outage = history.outages[-1]
    length = seconds(history.elapsed - outage.began)
    return "" if outage.polls == 1 else f" This went on for {length} ({outage.polls} failed polls)."


UNKNOWN_STATE = "ThreadFix's newest status is not documented, so the scan may be processing, finished or failed."


def _timed_out(history: ScanHistory, settings: Settings) -> Conclusion:
    timeout, hint, meaning = settings.plan.timeout, None, None
    if history.reading and settings.rules.decide(history.reading) is Decision.UNKNOWN:
        hint, meaning = f"{UNDOCUMENTED} {Reason.TIMEOUT.row.advice}", UNKNOWN_STATE
    limit = f"when the timeout expired ({seconds(timeout)})" if timeout else "when asked once"
    message = f"{_so_far(history)} {limit}."
    if isinstance(history.newest, Failure):
        message = f"{message} The newest poll failed: {history.newest.what}"
    return concluded(Reason.TIMEOUT, message, hint, meaning)


def _after(history: ScanHistory) -> str:
    return f"after {seconds(history.elapsed)}"


def _so_far(history: ScanHistory) -> str:
    if history.reading is None:
        return "no status received yet"
    status, unchanged = history.reading.status, history.lasted(len(history.phases) - 1)
    return f"had been {status} for {seconds(unchanged)}" if unchanged >= 1 else f"was {status}"


@dataclass(frozen=True, slots=True)
class UploadVerdict:
    """The conclusion about an upload without a pending scan."""

    noun: ClassVar[str] = "upload"
    conclusion: Conclusion
    upload: Upload
    url: str | None = None  # the finished scan's page in ThreadFix; None if unknown

    @property
    def subject(self) -> str:
        """The upload, with its file."""
        return str(self.upload.file)

    @property
    def scan_id(self) -> int | None:
        """The finished scan's id, if ThreadFix processed the file immediately."""
        return self.upload.receipt.scan_id if isinstance(self.upload.receipt, Finished) else None


def judge_upload(
    upload: Upload, settings: Settings, cancelled: Cancelled | None = None, *, application: Application | None = None
) -> UploadVerdict | None:
    """Return the verdict on an upload; None if it has pending scans, whose verdicts replace it.

    The application is for the link.
    """
    if isinstance(upload.receipt, Queued):
        return None
    conclusion = _upload_conclusion(upload, settings)
    if cancelled and isinstance(upload.receipt, Unfinished):
        conclusion = replace(conclusion, exit_code=cancelled.exit_code)
    conclusion = conclusion.downgrade(settings.downgraded)
    url = None
    if isinstance(upload.receipt, Finished) and application:
        url = settings.scan_url(application.id, upload.receipt.scan_id, team_id=application.team_id)
    return UploadVerdict(conclusion, upload, url)


def _upload_conclusion(upload: Upload, settings: Settings) -> Conclusion:
    match upload.receipt:
        case Finished(scan_id):
            return concluded(Reason.PROCESSED, f"processed immediately as scan {scan_id}.")
        case Refused(text, refusal):
            return _refused(text, refusal, settings)
        case Failure() as failure:
            return concluded_from(failure)
        case Unfinished.BROKEN_OFF:
            message = "was being sent when the gate was stopped. Whether ThreadFix has the file is not known."
            return concluded(Reason.CANCELLED, message, UPLOAD_AGAIN, UPLOAD_UNCERTAIN)
        case _:
            message, advice = "not sent; the gate was stopped.", "Run the gate again to upload the file."
            return concluded(Reason.CANCELLED, message, advice, "Nothing of the file was sent to ThreadFix.")


def _refused(text: str, refusal: Refusal | None, settings: Settings) -> Conclusion:
    cause = f"ThreadFix says: '{text.rstrip('.')}'." if text else "ThreadFix does not say why."
    if refusal and refusal.accept and settings.rules.accepts(refusal):
        return concluded(ACCEPTED[refusal.accept], f"not imported; {cause}")
    hint, meaning = (refusal.advice, refusal.meaning) if refusal else (None, None)
    return concluded(Reason.UPLOAD_REFUSED, f"refused; {cause}", hint, meaning)
