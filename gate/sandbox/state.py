"""What the embedded ThreadFix keeps: keys, applications, pending scans, uploads, and every request."""

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
    """The finished scan's id of a pending scan; they are two numbers in ThreadFix."""
    return number - 29


@dataclass(slots=True)
class Scan:
    """A pending scan: its scenario, and where it is in it.

    Attributes:
        scenario: what happens to the scan.
        application_id: the application that it belongs to.
        began: when its status was first requested, by the server's clock; None before that.
        requests: how often its status has been requested.
        file: what was uploaded; None for a scan that was there from the start.
    """

    scenario: Scenario
    application_id: int = model.APPLICATION_ID
    began: float | None = None
    requests: int = 0
    file: ReceivedFile | None = None


@dataclass(slots=True)
class State:
    """What the server keeps.

    Attributes:
        speed: how many times faster the scenarios are played than they are written.
        generation: which version of ThreadFix this is.
        keys: API keys that may do everything.
        readers: API keys that may read, but not upload.
        uploaders: API keys that may read and upload, but not manage CI/CD.
        policies: every policy by its id, whether or not an application has it.
        severity_names: the names that somebody gave severities, by their numbers.
        applications: the applications by their ids.
        scans: the pending scans by their ids.
        uploads: every file that was received, in their order, also those that were refused.
        imported: the files that are imported, or on their way: (id of the application, hash of the content).
        upload_attempts: how many uploads have begun, whether or not their bodies came.
        clock: returns seconds on a monotonic clock.
        log: called with each request's method, path and HTTP status; 0 for one without a response.
        seen: every request so far, as (method, path, HTTP status or 0).
        headers: the headers of every request, by name in small letters, in the order of `seen`.
        connections: how many TCP connections were opened.
        lock: held while the fields above are changed.
        epoch: seconds since the epoch when the clock was at 0.
        started: when the sandbox was made, by the clock.
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
        """Read both clocks at once."""
        self.started = self.clock()
        self.epoch = time.time() - self.started

    def add(
        self, scenario: Scenario, application_id: int = model.APPLICATION_ID, file: ReceivedFile | None = None
    ) -> int:
        """Queue a pending scan; returns its id."""
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id, file=file)
        return number

    def finish(self, number: int) -> None:
        """Make a pending scan one that is finished now."""
        with self.lock:
            scan = self.scans[number]
            scan.began = self.clock() - scan.scenario.duration / self.speed

    def ended(self, scan: Scan) -> float | None:
        """When a scan came to be in ThreadFix, by the clock; None where it is not, or not yet."""
        if scan.began is None or not scan.scenario.imports:
            return None
        at = scan.began + scan.scenario.duration / self.speed
        return at if at <= self.clock() else None

    def finished_scans(self, application_id: int) -> list[dict[str, Any]]:
        """The finished scans of an application since the sandbox started, as the REST API lists them."""
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
        """When an application was evaluated last, by the clock; None where it has no scan yet."""
        newest = self._newest_evaluation(application)
        return newest[0] if newest else None

    def vulnerabilities(self, application: Application) -> list[Vulnerability]:
        """What an application has by its last evaluation: what it had before, and what that scan brought."""
        newest = self._newest_evaluation(application)
        scan = newest[1] if newest else None
        return [*application.vulnerabilities, *(scan.scenario.brings if scan else ())]

    def _newest_evaluation(self, application: Application) -> tuple[float, Scan | None] | None:
        with self.lock:
            mine = [scan for scan in self.scans.values() if scan.application_id == application.id]
        now = self.clock()
        found: list[tuple[float, Scan | None]] = [(self.started - HOUR, None)] if application.scanned else []
        for scan in mine:
            ended = self.ended(scan)
            if ended is not None and (at := ended + scan.scenario.lag / self.speed) <= now:
                found.append((at, scan))
        return max(found, key=lambda pair: pair[0], default=None)

    def severity_name(self, number: int) -> str:
        """What a severity is called."""
        return self.severity_names.get(number, model.SEVERITIES[number])

    def now(self) -> datetime:
        """The time by the server's clock."""
        return datetime.fromtimestamp(self.epoch + self.clock(), timezone.utc)

    def moment(self, at: float) -> int:
        """A time on the clock as ThreadFix writes it: milliseconds since the epoch."""
        return int((self.epoch + at) * 1000)
