"""The state of the embedded ThreadFix: keys, applications, pending scans, uploads, and a record of all requests."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox import model, versions
from gate.sandbox.model import API_KEY, NO_CRITERIA_KEY, READ_ONLY_KEY
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application, Policy, Vulnerability
    from gate.sandbox.scenarios import Scenario
    from gate.sandbox.versions import Version

FIRST_PENDING_SCAN: Final = 41
SCANNER: Final = "Contoso Scanner"
HOUR: Final = 3600.0


def scan_id(number: int) -> int:
    """Return the id of the finished scan of a pending scan. In ThreadFix the two ids differ."""
    return number - 29


@dataclass(slots=True)
class Scan:
    """A pending scan: its scenario and its progress.

    Attributes:
        scenario: the scenario of the scan.
        application_id: the id of its application.
        began: the server's clock at the first request for the status; None before that request.
        requests: the number of requests for the status.
        file: the uploaded file; None for a scan that was pending from the start.
    """

    scenario: Scenario
    application_id: int = model.APPLICATION_ID
    began: float | None = None
    requests: int = 0
    file: ReceivedFile | None = None


@dataclass(slots=True)
class State:
    """The state of the server.

    Attributes:
        speed: the factor that divides the times of the scenarios.
        generation: the version of ThreadFix.
        keys: API keys with every permission.
        readers: API keys that may read, but not upload.
        uploaders: API keys that may read and upload, but not manage CI/CD.
        policies: all policies by id, attached or not.
        severity_names: custom names of severities by number.
        applications: the applications by id.
        scans: the pending scans by id.
        uploads: all received files in their order, including refused files.
        imported: imported files and files in progress, as (id of the application, hash of the content).
        upload_attempts: the number of uploads that began, complete or not.
        clock: returns seconds on a monotonic clock.
        log: receives the method, path and HTTP status of each request; the status is 0 without a response.
        seen: all requests, as (method, path, HTTP status or 0).
        headers: the headers of all requests, by name in lower case, in the order of `seen`.
        connections: the number of TCP connections opened.
        lock: held while the fields above are changed.
        epoch: seconds since the epoch at 0 on the clock.
        started: start of the sandbox on the clock.
    """

    speed: float = 1.0
    generation: Version = versions.NEWEST
    keys: set[str] = field(default_factory=lambda: {API_KEY})
    readers: set[str] = field(default_factory=lambda: {READ_ONLY_KEY})
    uploaders: set[str] = field(default_factory=lambda: {NO_CRITERIA_KEY})
    policies: dict[int, Policy] = field(default_factory=model.policies)
    severity_names: dict[int, str] = field(default_factory=dict)
    applications: dict[int, Application] = field(default_factory=model.applications)
    scans: dict[int, Scan] = field(
        default_factory=lambda: {
            FIRST_PENDING_SCAN + index: Scan(scenario, scenario.application)
            for index, scenario in enumerate(scenario for scenario in SCENARIOS.values() if scenario.content is None)
        }
    )
    uploads: list[ReceivedFile] = field(default_factory=list)
    imported: set[tuple[int, str]] = field(default_factory=set)
    upload_attempts: int = 0
    clock: Callable[[], float] = time.monotonic
    log: Callable[[str, str, int], None] = lambda _method, _path, _code: None
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    epoch: float = field(init=False, default=0.0)
    started: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Set the start, and the offset between the two clocks."""
        self.started = self.clock()
        self.epoch = time.time() - self.started

    def add(
        self, scenario: Scenario, application_id: int = model.APPLICATION_ID, file: ReceivedFile | None = None
    ) -> int:
        """Queue a pending scan and return its id."""
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id, file=file)
        return number

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

    def finished_scans(self, application_id: int) -> list[dict[str, Any]]:
        """Return the scans of an application that finished since the start, as the REST API lists them."""
        with self.lock:
            mine = [(number, scan) for number, scan in self.scans.items() if scan.application_id == application_id]
        ended = [(number, at) for number, scan in mine if (at := self.ended(scan)) is not None]
        return [
            {
                "id": scan_id(number),
                "importTime": self.moment(at),
                "updatedDate": self.moment(at),
                "scannerName": SCANNER,
            }
            for number, at in ended
        ]

    def evaluated(self, application: Application) -> float | None:
        """Return the time of an application's last evaluation on the clock; None if it has no scan yet."""
        newest = self._newest_evaluation(application)
        return newest[0] if newest else None

    def vulnerabilities(self, application: Application) -> list[Vulnerability]:
        """Return the vulnerabilities of the last evaluation: the initial vulnerabilities and those of that scan."""
        newest = self._newest_evaluation(application)
        scan = newest[1] if newest else None
        return [*application.vulnerabilities, *(scan.scenario.brings if scan else ())]

    def _newest_evaluation(self, application: Application) -> tuple[float, Scan | None] | None:
        with self.lock:
            mine = [scan for scan in self.scans.values() if scan.application_id == application.id]
        now = self.clock()
        evaluations: list[tuple[float, Scan | None]] = [(self.started - HOUR, None)] if application.scanned else []
        for scan in mine:
            ended = self.ended(scan)
            if ended is not None and (at := ended + scan.scenario.lag / self.speed) <= now:
                evaluations.append((at, scan))
        return max(evaluations, key=lambda pair: pair[0], default=None)

    def severity_name(self, number: int) -> str:
        """Return the name of a severity, custom or default."""
        return self.severity_names.get(number, model.SEVERITIES[number])

    def now(self) -> datetime:
        """Return the date and time on the server's clock."""
        return datetime.fromtimestamp(self.epoch + self.clock(), timezone.utc)

    def moment(self, at: float) -> int:
        """Convert a time on the clock to ThreadFix's format: milliseconds since the epoch."""
        return int((self.epoch + at) * 1000)
