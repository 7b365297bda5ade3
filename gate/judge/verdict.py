"""The finished verdict, the only input of a reporter. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gate import __version__
from gate.judge.conclusions import decide
from gate.text.naming import FLAGS, Naming

if TYPE_CHECKING:
    from datetime import datetime

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion, Part
    from gate.judge.scans import ScanVerdict
    from gate.judge.uploads import UploadVerdict
    from gate.model.build import Build
    from gate.model.errors import InvalidOption
    from gate.model.history import Upload


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finished verdict.

    Attributes:
        conclusion: of the gate as a whole; its message names the subject.
        scans: the parts about pending scans, as requested.
        ended_uploads: the parts about uploads without a pending scan, in the order of the files.
        checks: the parts about rules, as requested; empty if no rule was evaluated.
        uploads: every upload, in the order of the files.
        application_id: None if unknown.
        started_at, finished_at: UTC.
        elapsed: seconds, on a monotonic clock.
        server: origin of the ThreadFix server; empty if unknown.
        resume: the command that continues the wait; empty if there is nothing to wait for.
        replaced: names of the options that the ids in `resume` replace; the action must leave them out too.
        mistakes: the invalid options.
        result_file: path of the result document, as given; empty if none was requested.
        build: the build of the CI system; None outside CI.
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
        """All parts; empty if the gate ended before it asked."""
        return (*self.ended_uploads, *self.scans, *self.checks)

    @property
    def how_to_resume(self) -> tuple[str, str]:
        """The advice to keep waiting, and its command or inputs; only if there is a `resume`."""
        if not self.naming.inputs:
            return "To keep waiting, run:", self.resume
        targets = [scan.target for scan in self.scans]
        ids = ",".join(str(target.pending_scan_id) for target in targets)
        inputs = f"application-id: {targets[0].application_id}\npending-scan-id: {ids}"
        # Otherwise it would upload the same file again.
        left_out = (
            f"without {', '.join(map(self.naming.option, self.replaced))}, and with:" if self.replaced else "with:"
        )
        return f"To keep waiting, run the action again {left_out}", inputs

    @property
    def resume_line(self) -> str:
        """The same in one line; empty if there is nothing to wait for."""
        how, what = self.how_to_resume if self.resume else ("", "")
        return f"{how} {what}".replace("\n", ", ").strip()

    @property
    def deciding_scan(self) -> ScanVerdict | None:
        """The pending scan that decides among the scans; None without scans."""
        return decide(self.scans) if self.scans else None

    @property
    def url(self) -> str | None:
        """The page of the deciding part; of the scan, if a check has no page."""
        deciding = decide(self.parts) if self.parts else None
        if deciding is None:
            return None
        return deciding.url or (self.scan_url if deciding in self.checks else None)

    @property
    def scan_url(self) -> str | None:
        """The page of the scan, of several the deciding one; None if unknown."""
        finished = [upload for upload in self.ended_uploads if upload.scan_id is not None]
        scans: tuple[Part, ...] = (*finished, *self.scans)
        return decide(scans).url if scans else None

    def ended(self, upload: Upload) -> UploadVerdict | None:
        """Return the verdict of an upload; None if its pending scans have verdicts instead."""
        return next((part for part in self.ended_uploads if part.upload == upload), None)

    @property
    def polls(self) -> int:
        """The requests of all waits."""
        return sum(scan.history.polls for scan in self.scans) + sum(check.history.polls for check in self.checks)

    @property
    def errors(self) -> int:
        """The failed requests among them."""
        return sum(scan.history.errors for scan in self.scans) + sum(check.history.errors for check in self.checks)
