"""The finished verdict: all that a reporter reads. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gate import __version__
from gate.conclusions import decide
from gate.naming import FLAGS, Naming

if TYPE_CHECKING:
    from datetime import datetime

    from gate.build import Build
    from gate.conclusions import Conclusion, Part
    from gate.errors import InvalidOption
    from gate.history import Upload
    from gate.parts.checks import CheckVerdict
    from gate.parts.scans import ScanVerdict
    from gate.parts.uploads import UploadVerdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finished verdict: all that a reporter reads.

    Attributes:
        conclusion: of the gate as a whole; its message names the subject.
        scans: the parts about pending scans, in the order asked for.
        ended_uploads: the parts about uploads that made no pending scan, in the order of the files.
        checks: the parts about checks of the release, in the order asked for; none where they were not made.
        uploads: every upload, in the order of the files.
        application_id: the application; None where it is not known.
        started_at, finished_at: UTC.
        elapsed: seconds, on a monotonic clock.
        server: origin of the ThreadFix server; empty when it is not known.
        resume: the command that waits on; empty where there is nothing to wait for.
        replaced: names of the options that `resume` has ids in place of; the action must leave them out as well.
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
    ended_uploads: tuple[UploadVerdict, ...] = ()
    checks: tuple[CheckVerdict, ...] = ()
    uploads: tuple[Upload, ...] = ()
    application_id: int | None = None
    server: str = ""
    resume: str = ""
    replaced: tuple[str, ...] = ()
    mistakes: tuple[InvalidOption, ...] = ()
    result_file: str = ""
    build: Build | None = None
    version: str = __version__
    naming: Naming = FLAGS

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them; empty where the gate never came to ask."""
        return (*self.ended_uploads, *self.scans, *self.checks)

    @property
    def how_to_resume(self) -> tuple[str, str]:
        """What to do to keep waiting, and the command or the inputs to do it with; for where there is a `resume`."""
        if not self.naming.inputs:
            return "To keep waiting, run:", self.resume
        targets = [scan.target for scan in self.scans]
        ids = ",".join(str(target.pending_scan_id) for target in targets)
        inputs = f"application-id: {targets[0].application_id}\npending-scan-id: {ids}"
        # Else it would upload the same file once more.
        left_out = (
            f"without {', '.join(map(self.naming.option, self.replaced))}, and with:" if self.replaced else "with:"
        )
        return f"To keep waiting, run the action again {left_out}", inputs

    @property
    def resume_line(self) -> str:
        """The same in one line; empty where there is nothing to wait for."""
        how, what = self.how_to_resume if self.resume else ("", "")
        return f"{how} {what}".replace("\n", ", ").strip()

    @property
    def deciding_scan(self) -> ScanVerdict | None:
        """The pending scan that decided among them; None where none was waited for."""
        return decide(self.scans) if self.scans else None

    @property
    def url(self) -> str | None:
        """Where a person can see what the verdict is about: what decided; of a check, else the scan."""
        deciding = decide(self.parts) if self.parts else None
        if deciding is None:
            return None
        return deciding.url or (self.scan_url if deciding in self.checks else None)

    @property
    def scan_url(self) -> str | None:
        """Link to the scan; of the deciding one, where there are several; None where it is not known."""
        finished = [upload for upload in self.ended_uploads if upload.scan_id is not None]
        scans: tuple[Part, ...] = (*finished, *self.scans)
        return decide(scans).url if scans else None

    def ended(self, upload: Upload) -> UploadVerdict | None:
        """What an upload came to; None where it made pending scans, which have verdicts of their own."""
        return next((part for part in self.ended_uploads if part.upload == upload), None)

    @property
    def polls(self) -> int:
        """Requests made by the waits, all together."""
        return sum(scan.history.polls for scan in self.scans) + sum(check.history.polls for check in self.checks)

    @property
    def errors(self) -> int:
        """Requests among them that failed."""
        return sum(scan.history.errors for scan in self.scans) + sum(check.history.errors for check in self.checks)
