"""Holds the checked options of a run as plain data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate.model.subjects import ApplicationId, ApplicationName, PassCriteria, Plan
from gate.text.wording import PROGRAM
from gate.threadfix import links
from gate.threadfix.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gate.model.history import Upload
    from gate.model.reasons import Reason
    from gate.model.subjects import Check, ScanFile, Target
    from gate.threadfix.links import Server


@dataclass(frozen=True, slots=True)
class Reports:
    """The requested reports and the kind of log. They are known even if other options are invalid."""

    requested: Mapping[str, str | bool] = field(default_factory=dict)  # by option name: the path of a file, or True
    verbose: bool = False
    quiet: bool = False

    @property
    def result_file(self) -> str:
        """Path of the result document; empty if not requested."""
        return str(self.requested.get("result-file", ""))

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the requested files."""
        return tuple(value for value in self.requested.values() if isinstance(value, str))


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a run."""

    server: Server
    application: ApplicationId | ApplicationName | None = None  # None if no request needs an application
    pending_scan_ids: tuple[int, ...] = ()  # as given; uploads of this run are not among them
    files: tuple[ScanFile, ...] = ()  # to upload first, in this order
    uploaded: Upload | None = None  # an earlier upload that ThreadFix refused
    checks: tuple[Check, ...] = ()  # to make after the wait, in this order
    plan: Plan = field(default_factory=Plan)
    rules: Rules = field(default_factory=Rules)  # the statuses that decide
    downgraded: frozenset[Reason] = frozenset()  # reasons that end with exit code 0 although the verdict is unknown
    ui_url: str = links.UI_URL  # URL template of the link to the scan
    rules_only: bool = False  # whether to judge the rules without a scan of this run
    arguments: tuple[str, ...] = ()  # the given options as flags, without secrets and scans

    @property
    def application_id(self) -> int | None:
        """The application's id; None if it must be looked up."""
        return self.application.id if isinstance(self.application, ApplicationId) else None

    @property
    def risks(self) -> Iterator[str]:
        """Warnings that the rules may be judged by a state without all scans; templates of `gate.text.wording`."""
        suffixes = [suffix for file in self.files for suffix in file.suffixes]
        if len(set(suffixes)) < len(suffixes):
            yield (
                "{--scan-file}: several files have the same extension. ThreadFix closes the findings that a scanner's "
                "newest scan lacks, so send the parts of one scan together with {--one-scan}."
            )
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
        """Whether a check depends on the moment when the newest scan was processed."""
        return bool(self.plan.settle_timeout) and any(not isinstance(check, PassCriteria) for check in self.checks)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Names of the given options that a resumed run replaces by ids."""
        files = ("scan-file",) if self.files else ()
        if not isinstance(self.application, ApplicationName):
            return files
        name = "application-name" if self.application.name is not None else "application-unique-id"
        return (*files, *(("team-name",) if self.application.team is not None else ()), name)

    def resume(self, targets: Sequence[Target], program: tuple[str, ...] = (PROGRAM,)) -> str:
        """Return the command that keeps waiting for `targets`: at least one scan, all of the same application.

        It does not contain the key, which comes from the environment again.
        """
        scans = ",".join(str(target.pending_scan_id) for target in targets)
        ids = ("--application-id", str(targets[0].application_id), "--pending-scan-id", scans)
        return shlex.join((*program, "run", *self.arguments, *ids))

    def scan_url(
        self, application_id: int, scan_id: int | None, pending_scan_id: int | None = None, team_id: int | None = None
    ) -> str | None:
        """Return the link to the scan's page, or None if a part of it is unknown."""
        parts = {"url": self.server.url, "team_id": team_id, "application_id": application_id}
        parts |= {"pending_scan_id": pending_scan_id, "scan_id": scan_id}
        if any(value is None and f"{{{name}}}" in self.ui_url for name, value in parts.items()):
            return None
        return self.ui_url.format(**parts)
