"""What was asked for, checked, as plain data. Knows neither where it came from nor who reads it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate.rules import Rules
from gate.threadfix import links

if TYPE_CHECKING:
    from gate.history import Target
    from gate.reasons import Reason
    from gate.threadfix.server import Server


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to wait, and how often to ask. All in seconds."""

    timeout: float = 1800.0
    """For the whole wait; 0 asks once."""
    interval: float = 2.0
    """Shortest time between two polls."""
    max_interval: float = 15.0
    """Longest time between two polls."""
    request_timeout: float = 30.0
    """For one whole request."""
    first_contact_limit: float = 60.0
    """How long errors are tolerated before the first good response."""
    outage_limit: float = 300.0
    """How long one outage is tolerated after that."""
    stall_after: float = 600.0
    """Time without a change of the status after which there is a warning."""


@dataclass(frozen=True, slots=True)
class Reports:
    """Where the verdict is to be written. Known even when other options are invalid."""

    result_file: str | None = None
    """Path of the result document."""
    junit_file: str | None = None
    """Path of the JUnit report."""
    dotenv_file: str | None = None
    """Path of the dotenv file."""
    html_file: str | None = None
    """Path of the HTML report."""
    summary: bool = True
    """Whether GitHub's job summary is written."""
    json: bool = False
    """Whether the result document goes to standard output."""
    verbose: bool = False
    """Whether every request is logged."""
    quiet: bool = False
    """Whether only the verdict is logged."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that one run was asked for."""

    server: Server
    """Which ThreadFix."""
    targets: tuple[Target, ...]
    """The pending scans; none only where none is needed."""
    plan: Plan = field(default_factory=Plan)
    """How long to wait, and how often to ask."""
    rules: Rules = field(default_factory=Rules)
    """Which statuses decide."""
    fail_fast: bool = False
    """Whether the first failed scan stops the others."""
    downgraded: frozenset[Reason] = frozenset()
    """Unknown reasons that end in exit code 0."""
    ui_url: str = links.UI_URL
    """URL template of the scan link."""
    arguments: tuple[str, ...] = ()
    """The options that were given, as flags, without secrets and without the scans."""
    application_id: int | None = None
    """The application, also where no pending scan is named."""

    @property
    def resume(self) -> str:
        """The command that keeps waiting. The key is not in it: it comes from the environment again."""
        scans = ",".join(str(target.pending_scan_id) for target in self.targets)
        ids = ("--application-id", str(self.targets[0].application_id), "--pending-scan-id", scans)
        return shlex.join(("threadfix-gate", "run", *self.arguments, *ids))

    def scan_url(self, target: Target, scan_id: int | None) -> str | None:
        """The link that a person is shown, or None where a part of it is not known."""
        if "{team_id}" in self.ui_url or ("{scan_id}" in self.ui_url and scan_id is None):
            return None
        return self.ui_url.format(
            url=self.server.url,
            application_id=target.application_id,
            pending_scan_id=target.pending_scan_id,
            scan_id=scan_id,
        )
