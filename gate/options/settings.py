"""Holds the checked options of a run as plain data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate.model.subjects import ApplicationId, ApplicationName, PassCriteria
from gate.text.naming import PROGRAM
from gate.threadfix import links
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.model.history import Upload
    from gate.model.reasons import Reason
    from gate.model.subjects import Check, ScanFile, Target
    from gate.threadfix.links import Server


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
    upload_timeout: float = 600.0
    """For the upload of each file, its response included."""
    settle_timeout: float = 120.0
    """How long ThreadFix may take to evaluate again after the scan; 0 takes its first response."""


@dataclass(frozen=True, slots=True)
class Reports:
    """The reports of the verdict. They are known even if other options are invalid."""

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
    """The options of a run."""

    server: Server
    """The ThreadFix server."""
    application: ApplicationId | ApplicationName | None = None
    """The application; None if none is needed, or if ThreadFix refused an upload without naming it."""
    pending_scan_ids: tuple[int, ...] = ()
    """The pending scans that were named; those of an upload are not known yet."""
    files: tuple[ScanFile, ...] = ()
    """The files to upload first, in this order."""
    uploaded: Upload | None = None
    """An upload from before the gate started that ThreadFix refused."""
    checks: tuple[Check, ...] = ()
    """The rules to evaluate after the wait, in this order."""
    plan: Plan = field(default_factory=Plan)
    """How long to wait, and how often to ask."""
    rules: Rules = field(default_factory=Rules)
    """The statuses that decide."""
    downgraded: frozenset[Reason] = frozenset()
    """Unknown reasons that end in exit code 0."""
    ui_url: str = links.UI_URL
    """URL template of the scan link."""
    arguments: tuple[str, ...] = ()
    """The options that were given, as flags, without secrets and without the scans."""

    @property
    def application_id(self) -> int | None:
        """The application's id; None if it must be looked up."""
        return self.application.id if isinstance(self.application, ApplicationId) else None

    @property
    def risks(self) -> Iterator[str]:
        """Warnings that the rules may be judged by a state from before the scan; templates of `gate.text.naming`."""
        if self.checks and not self.plan.settle_timeout:
            yield "{--settle-timeout 0}: ThreadFix's first response counts, also if it is from before the scan."
        elif self.plan.max_interval < Plan().max_interval and any(
            isinstance(check, PassCriteria) for check in self.checks
        ):
            yield (
                "{--max-interval}: the pass criteria count if two responses agree, and these may be so close to each "
                "other that both are from before ThreadFix updates its statistics."
            )

    @property
    def needs_moment(self) -> bool:
        """Whether a check depends on the moment since which the newest scan is processed."""
        return bool(self.plan.settle_timeout) and any(not isinstance(check, PassCriteria) for check in self.checks)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Names of the given options that a resumed run replaces by ids."""
        files = ("scan-file",) if self.files else ()
        if not isinstance(self.application, ApplicationName):
            return files
        name = "application-name" if self.application.name is not None else "application-unique-id"
        return (*files, "team-name", name)

    def resume(self, targets: Sequence[Target], program: tuple[str, ...] = (PROGRAM,)) -> str:
        """Return the command that keeps waiting for `targets`: at least one scan, all of the same application.

        The key is not in it: it comes from the environment again.
        """
        scans = ",".join(str(target.pending_scan_id) for target in targets)
        ids = ("--application-id", str(targets[0].application_id), "--pending-scan-id", scans)
        return shlex.join((*program, "run", *self.arguments, *ids))

    def scan_url(
        self, application_id: int, scan_id: int | None, pending_scan_id: int | None = None, team_id: int | None = None
    ) -> str | None:
        """Return the link for people, or None if a part of it is unknown."""
        parts = {
            "url": self.server.url,
            "team_id": team_id,
            "application_id": application_id,
            "pending_scan_id": pending_scan_id,
            "scan_id": scan_id,
        }
        if any(value is None and f"{{{name}}}" in self.ui_url for name, value in parts.items()):
            return None
        return self.ui_url.format(**parts)
