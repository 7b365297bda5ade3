"""The finished verdict, the only input of a reporter. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gate import __version__
from gate.judge.conclusions import decide
from gate.text.wording import FLAGS, Naming

if TYPE_CHECKING:
    from datetime import datetime

    from gate.judge.checks import CheckVerdict
    from gate.judge.conclusions import Conclusion, Part
    from gate.judge.scans import ScanVerdict, UploadVerdict
    from gate.model.build import Build
    from gate.model.history import Application, History, NewestScan, Upload
    from gate.model.reasons import InvalidOption


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finished verdict."""

    conclusion: Conclusion  # of the whole run; its message names the subject
    started_at: datetime  # UTC, as is `finished_at`
    finished_at: datetime
    elapsed: float  # seconds, on a monotonic clock
    scans: tuple[ScanVerdict, ...] = ()
    ended_uploads: tuple[UploadVerdict, ...] = ()  # uploads without a pending scan
    checks: tuple[CheckVerdict, ...] = ()  # empty if no rule was evaluated
    uploads: tuple[Upload, ...] = ()  # all of them, in the order of the files
    application: Application | None = None
    newest_scan: NewestScan | None = None  # of the application, if there is no scan of this run
    server: str = ""  # origin of the ThreadFix server
    resume: str = ""  # the command that continues the wait; empty if there is nothing to wait for
    replaced: tuple[str, ...] = ()  # the options that the ids in `resume` replace; the action must omit them too
    invalid: tuple[InvalidOption, ...] = ()
    result_file: str = ""  # path of the result document, as given
    build: Build | None = None  # the build of the CI system; None outside CI
    version: str = __version__
    naming: Naming = FLAGS

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts; empty if the gate ended before the first request."""
        return (*self.ended_uploads, *self.scans, *self.checks)

    @property
    def how_to_resume(self) -> tuple[str, str]:
        """The advice to keep waiting, and its command or inputs. Requires `resume`."""
        if not self.naming.inputs:
            return "To keep waiting, run:", self.resume
        targets = [scan.target for scan in self.scans]
        ids = ",".join(str(target.pending_scan_id) for target in targets)
        inputs = f"application-id: {targets[0].application_id}\npending-scan-id: {ids}"
        # Otherwise the action would upload the same file again.
        without = f"without {', '.join(map(self.naming.option, self.replaced))}, and " if self.replaced else ""
        return f"To keep waiting, run the action again {without}with:", inputs

    @property
    def resume_line(self) -> str:
        """The advice in one line; empty if there is nothing to wait for."""
        return " ".join(self.how_to_resume).replace("\n", ", ") if self.resume else ""

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
        """The page of the deciding scan; None if unknown."""
        finished = [upload for upload in self.ended_uploads if upload.scan_id is not None]
        scans: tuple[Part, ...] = (*finished, *self.scans)
        return decide(scans).url if scans else None

    def ended(self, upload: Upload) -> UploadVerdict | None:
        """Return the verdict of an upload; None if its pending scans have verdicts instead."""
        return next((part for part in self.ended_uploads if part.upload == upload), None)

    @property
    def histories(self) -> tuple[History[Any, Any], ...]:
        """The histories of all waits."""
        return (*(scan.history for scan in self.scans), *(check.history for check in self.checks))

    @property
    def polls(self) -> int:
        """The number of requests of all waits."""
        return sum(history.polls for history in self.histories)

    @property
    def errors(self) -> int:
        """The number of failed requests of all waits."""
        return sum(history.errors for history in self.histories)
