"""What an upload comes to that made no pending scan: refused, finished at once, or nobody knows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gate.judge.conclusions import Conclusion, concluded
from gate.judge.scans import ACCEPTED
from gate.model.history import BrokenOff, Failure, Finished, NotSent, Queued, Refused
from gate.model.reasons import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, Reason

if TYPE_CHECKING:
    from gate.model.errors import Cancelled
    from gate.model.history import Upload
    from gate.options.settings import Settings


@dataclass(frozen=True, slots=True)
class UploadVerdict:
    """What an upload came to.

    Attributes:
        conclusion: what it came to.
        upload: the file, and what became of it.
        url: link to the finished scan in ThreadFix; None where there is none, or a part of it is not known.
    """

    conclusion: Conclusion
    upload: Upload
    url: str | None = None

    @property
    def noun(self) -> str:
        """What it is about."""
        return "upload"

    @property
    def subject(self) -> str:
        """The upload of which file."""
        return str(self.upload.file)

    @property
    def scan_id(self) -> int | None:
        """The finished scan's id, where ThreadFix processed the file at once."""
        return self.upload.receipt.scan_id if isinstance(self.upload.receipt, Finished) else None


def judge_upload(
    upload: Upload,
    settings: Settings,
    cancelled: Cancelled | None = None,
    *,
    application_id: int | None = None,
    team_id: int | None = None,
) -> UploadVerdict | None:
    """What an upload means; None where it made a pending scan, which has a verdict of its own.

    Args:
        upload: the file, and what became of it.
        settings: what was asked for.
        cancelled: what stopped the gate, if anything did.
        application_id: for the link.
        team_id: of the application's team, likewise.
    """
    if isinstance(upload.receipt, Queued):
        return None
    conclusion = _conclusion_of(upload, settings)
    if cancelled and isinstance(upload.receipt, NotSent | BrokenOff):
        conclusion = replace(conclusion, exit_code=cancelled.exit_code)
    conclusion = conclusion.downgrade(settings.downgraded)
    url = None
    if isinstance(upload.receipt, Finished) and application_id is not None:
        url = settings.scan_url(application_id, upload.receipt.scan_id, team_id=team_id)
    return UploadVerdict(conclusion, upload, url)


def _conclusion_of(upload: Upload, settings: Settings) -> Conclusion:
    match upload.receipt:
        case Finished(scan_id):
            return concluded(Reason.PROCESSED, f"processed at once as scan {scan_id}.")
        case Refused() as refused:
            return _refused(refused, settings)
        case Failure() as failure:
            return concluded(failure.reason, failure.what, failure.hint, failure.meaning)
        case BrokenOff():
            return concluded(
                Reason.CANCELLED,
                "was being sent when the gate was stopped. Whether ThreadFix has the file is not known.",
                UPLOAD_AGAIN,
                UPLOAD_UNCERTAIN,
            )
        case _:
            message, advice = "not sent; the gate was stopped.", "Run the gate again to upload the file."
            return concluded(Reason.CANCELLED, message, advice, UNSENT)


UNSENT = "Nothing of the file was sent to ThreadFix."


def _refused(refused: Refused, settings: Settings) -> Conclusion:
    refusal = refused.refusal
    said = f"ThreadFix says: '{refused.text.rstrip('.')}'." if refused.text else "ThreadFix does not say why."
    if refusal and refusal.accept and settings.rules.accepts(refusal):
        return concluded(ACCEPTED[refusal.accept], f"not imported; {said}")
    hint, meaning = (refusal.advice, refusal.meaning) if refusal else (None, None)
    return concluded(Reason.UPLOAD_REFUSED, f"refused; {said}", hint, meaning)
