"""What the embedded ThreadFix keeps: keys, applications, pending scans, uploads, and every request."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gate.sandbox import model, versions
from gate.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.sandbox.forms import ReceivedFile
    from gate.sandbox.model import Application
    from gate.sandbox.scenarios import Scenario
    from gate.sandbox.versions import Version

API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
"""A key that may do everything."""
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
"""A key without the Upload Scans permission."""
UNKNOWN_KEY: Final = API_KEY.replace("Opens", "Misses")
"""A key that the sandbox does not know."""
FIRST_PENDING_SCAN: Final = 41


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
        max_upload: bytes of a request that are accepted, as by a proxy in front; None for any number.
        keys: API keys that may do everything.
        readers: API keys that may read, but not upload.
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
    """

    speed: float = 1.0
    generation: Version = versions.NEWEST
    max_upload: int | None = None
    keys: set[str] = field(default_factory=lambda: {API_KEY})
    readers: set[str] = field(default_factory=lambda: {READ_ONLY_KEY})
    applications: dict[int, Application] = field(default_factory=model.applications)
    scans: dict[int, Scan] = field(
        default_factory=lambda: {
            FIRST_PENDING_SCAN + index: Scan(scenario) for index, scenario in enumerate(SCENARIOS.values())
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

    def __post_init__(self) -> None:
        """Read both clocks at once."""
        self.epoch = time.time() - self.clock()

    def add(
        self, scenario: Scenario, application_id: int = model.APPLICATION_ID, file: ReceivedFile | None = None
    ) -> int:
        """Queue a pending scan; returns its id."""
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id, file=file)
        return number

    def moment(self, at: float) -> int:
        """A time on the clock as ThreadFix writes it: milliseconds since the epoch."""
        return int((self.epoch + at) * 1000)
