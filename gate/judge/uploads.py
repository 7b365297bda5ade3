"""Conclude from an upload without a pending scan: it was refused, processed immediately, or failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from gate.judge.conclusions import Conclusion, concluded, concluded_from
from gate.judge.scans import ACCEPTED
from gate.model.advice import UPLOAD_AGAIN, UPLOAD_UNCERTAIN
from gate.model.history import Failure, Finished, Queued, Refused, Unfinished
from gate.model.reasons import Reason

if TYPE_CHECKING:
    from gate.model.errors import Cancelled
    from gate.model.history import Refusal, Upload
    from gate.options.settings import Settings


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
    upload: Upload,
    settings: Settings,
    cancelled: Cancelled | None = None,
    *,
    application_id: int | None = None,
    team_id: int | None = None,
) -> UploadVerdict | None:
    """Return the verdict on an upload; None if it has pending scans, whose verdicts replace it.

    The ids of the application and of its team are for the link.
    """
    if isinstance(upload.receipt, Queued):
        return None
    conclusion = _conclusion_of(upload, settings)
    if cancelled and isinstance(upload.receipt, Unfinished):
        conclusion = replace(conclusion, exit_code=cancelled.exit_code)
    conclusion = conclusion.downgrade(settings.downgraded)
    url = None
    if isinstance(upload.receipt, Finished) and application_id is not None:
        url = settings.scan_url(application_id, upload.receipt.scan_id, team_id=team_id)
    return UploadVerdict(conclusion, upload, url)


def _conclusion_of(upload: Upload, settings: Settings) -> Conclusion:
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
