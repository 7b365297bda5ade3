"""The state of the embedded ThreadFix: keys, applications, pending scans, uploads, and a record of all requests."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from gate.sandbox import model, versions
from gate.sandbox.model import API_KEY, NO_CRITERIA_KEY, READ_ONLY_KEY, Import, Report
from gate.sandbox.scenarios import DUPLICATE, OLDER, SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application, Policy, Team, Vulnerability
    from gate.sandbox.scenarios import Scenario
    from gate.sandbox.versions import Version

FIRST_PENDING_SCAN: Final = 41
HOUR: Final = 3600.0
OLDER_THAN_QUEUED: Final = "There was a more recent scan for this application and scanner on the queue."


def scan_id(number: int) -> int:
    """Return the id of the finished scan of a pending scan. In ThreadFix the two ids differ [DOC]."""
    return number - 29


@dataclass(slots=True)
class Scan:
    """A pending scan: its scenario and its progress."""

    scenario: Scenario
    application_id: int = model.APPLICATION_ID  # the id of its application
    began: float | None = None  # the server's clock at the first request for the status; None before that request
    requests: int = 0  # the number of requests for the status
    files: Sequence[ReceivedFile] = ()  # the uploaded files; empty for a scan that was pending from the start
    report: Report = field(default_factory=Report)  # their content
    date: int | None = None  # the report's date, in milliseconds since the epoch; None for the end of the import


@dataclass(slots=True)
class State:
    """The state of the server."""

    speed: float = 1.0  # the factor that divides the times of the scenarios
    generation: Version = versions.NEWEST  # the version of ThreadFix
    keys: set[str] = field(default_factory=lambda: {API_KEY})  # API keys with every permission
    readers: set[str] = field(default_factory=lambda: {READ_ONLY_KEY})  # API keys that may read, but not upload
    # API keys that may read and upload, but not manage anything.
    uploaders: set[str] = field(default_factory=lambda: {NO_CRITERIA_KEY})
    policies: dict[int, Policy] = field(default_factory=model.policies)  # all policies by id, attached or not
    severity_names: dict[int, str] = field(default_factory=dict)  # custom names of severities by number
    applications: dict[int, Application] = field(default_factory=model.applications)
    teams: dict[int, Team] = field(default_factory=dict)  # teams without applications by id
    # The pending scans by id.
    scans: dict[int, Scan] = field(
        default_factory=lambda: {
            FIRST_PENDING_SCAN + index: Scan(scenario, scenario.application)
            for index, scenario in enumerate(scenario for scenario in SCENARIOS.values() if not scenario.files)
        }
    )
    # All received files in their order, including refused files.
    uploads: list[ReceivedFile] = field(default_factory=list)
    upload_attempts: int = 0  # the number of uploads that began, complete or not
    clock: Callable[[], float] = time.monotonic  # returns seconds on a monotonic clock
    # Receives the method, path and HTTP status of each request; the status is 0 without a response.
    log: Callable[[str, str, int], None] = lambda _method, _path, _code: None
    seen: list[tuple[str, str, int]] = field(default_factory=list)  # all requests, as (method, path, HTTP status or 0)
    # The headers of all requests, by name in lower case, in the order of `seen`.
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0  # the number of TCP connections opened
    lock: threading.RLock = field(default_factory=threading.RLock)  # held while the fields above are changed
    epoch: float = field(init=False, default=0.0)  # seconds since the epoch at 0 on the clock
    started: float = field(init=False, default=0.0)  # start of the sandbox on the clock

    def __post_init__(self) -> None:
        """Set the start, and the offset between the two clocks."""
        self.started = self.clock()
        self.epoch = time.time() - self.started

    def add(
        self,
        scenario: Scenario,
        application_id: int = model.APPLICATION_ID,
        files: Sequence[ReceivedFile] = (),
        report: Report | None = None,
    ) -> int:
        """Queue a pending scan and return its id. An uploaded report without a date is dated now [RUN]."""
        date = (report.date or self.moment(self.clock())) if report else None
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id, files=files, report=report or Report(), date=date)
        return number

    def reason_against(self, application: Application, report: Report) -> str | None:
        """Return ThreadFix's message if a report is a duplicate or too old; None if it may be imported.

        A report is a duplicate if a scan of its scanner has its date, with any content. It is too old if a scan of
        its scanner has a later date. A report without a date is dated now, and never a duplicate [RUN].
        """
        with self.lock:
            queued = {
                scan.date or 0: self.ended(scan) is None
                for scan in self.scans.values()
                if scan.application_id == application.id and scan.date and scan.scenario.imports
                if scan.report.scanner == report.scanner
            }
            dates = queued | {
                scan.date: False for _, scan in self._imports(application) if scan.scanner == report.scanner
            }
        newest = max(dates, default=0)
        if report.date in dates:
            return DUPLICATE
        if (report.date or self.moment(self.clock())) < newest:
            return OLDER_THAN_QUEUED if dates[newest] else OLDER
        return None

    def finish(self, number: int) -> None:
        """Finish a pending scan now."""
        with self.lock:
            scan = self.scans[number]
            scan.began = self.clock() - scan.scenario.duration / self.speed

    def ended(self, scan: Scan) -> float | None:
        """Return the time of a scan's import on the clock; None if it is not imported, or not yet."""
        if scan.began is None or not scan.scenario.imports:
            return None
        at = scan.began + scan.scenario.duration / self.speed
        return at if at <= self.clock() else None

    def finished_scans(self, application: Application) -> list[Import]:
        """Return the scans of an application with their numbers, the newest report first [RUN]."""
        imports = [scan for _, scan in self._imports(application)]
        done, _ = model.replay(application.vulnerabilities, imports, self.moment(self.clock()), 1000 * application.id)
        return sorted(done, key=lambda scan: (scan.date, scan.id), reverse=True)

    def evaluated(self, application: Application) -> float | None:
        """Return the time of an application's last evaluation on the clock; None if it has no scan yet."""
        return max((at for at, _ in self._imports(application, evaluated=True)), default=None)

    def vulnerabilities(self, application: Application) -> list[Vulnerability]:
        """Return the vulnerabilities of an application, open and closed, as of the last evaluation."""
        imports = [scan for _, scan in self._imports(application, evaluated=True)]
        return model.replay(application.vulnerabilities, imports, self.moment(self.clock()), 1000 * application.id)[1]

    def _imports(self, application: Application, *, evaluated: bool = False) -> list[tuple[float, Import]]:
        """Return the imported scans of an application with their times on the clock, in this order.

        Args:
            application: the application.
            evaluated: whether to return only evaluated scans, with the times of their evaluations [DOC: later].
        """
        # An opaque report has the vulnerabilities of the start, and those that its scenario brings [INFER].
        usual = tuple(vulnerability for vulnerability in application.vulnerabilities if vulnerability.open)
        imports = []
        for index, report in enumerate(application.earlier):
            at = self.started - HOUR * (len(application.earlier) - index)
            results = usual if report.findings is None else report.findings
            updated = self.moment(at)
            number = 1000 * application.id + index
            imports.append((at, Import(number, report.scanner, report.date or updated, updated, results)))
        with self.lock:
            mine = [(number, scan) for number, scan in self.scans.items() if scan.application_id == application.id]
        now = self.clock()
        for number, scan in mine:
            ended, report = self.ended(scan), scan.report
            if ended is None:
                continue
            at = ended + scan.scenario.lag / self.speed if evaluated else ended
            if at <= now:
                results = (*usual, *scan.scenario.brings) if report.findings is None else report.findings
                updated = self.moment(ended)
                imports.append((at, Import(scan_id(number), report.scanner, scan.date or updated, updated, results)))
        return sorted(imports, key=lambda pair: pair[0])

    def severity_name(self, number: int) -> str:
        """Return the name of a severity, custom or default."""
        return self.severity_names.get(number, model.SEVERITIES[number])

    def now(self) -> datetime:
        """Return the date and time on the server's clock."""
        return datetime.fromtimestamp(self.epoch + self.clock(), timezone.utc)

    def moment(self, at: float) -> int:
        """Convert a time on the clock to ThreadFix's format: milliseconds since the epoch."""
        return int((self.epoch + at) * 1000)
