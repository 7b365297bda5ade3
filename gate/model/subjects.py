"""The subjects of requests, as data: a pending scan, an application, a file to upload, a check of the release.

`str` names each for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from gate.text.sanitizer import Sanitizer, fold
from gate.text.wording import some

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

NAME_LIMIT: Final = 200  # characters that a message shows of a name from the options
SHOWN: Final = 3  # the most parts of one scan that are named


class Target(NamedTuple):
    """A pending scan of an application, by ThreadFix's ids."""

    application_id: int
    pending_scan_id: int

    def __str__(self) -> str:
        return f"pending scan {self.pending_scan_id} of application {self.application_id}"


class ApplicationId(NamedTuple):
    """An application by its id."""

    id: int

    def __str__(self) -> str:
        return f"application {self.id}"


class ApplicationName(NamedTuple):
    """An application by either its own name or its unique id, and by its team's name if given, as typed."""

    team: str | None
    name: str | None = None
    unique_id: str | None = None

    def __str__(self) -> str:
        own = f"'{_shown(self.name)}'" if self.name is not None else f"with the unique id '{_shown(self.unique_id)}'"
        return f"application {own}" if self.team is None else f"application {own} of team '{_shown(self.team)}'"


class FolderError(ValueError):
    """The path of a scan file is that of a folder."""


class ScanFile(NamedTuple):
    """A file to upload, or several files that are parts of one scan."""

    path: str
    size: int  # in bytes, when the gate started
    shown: str  # the path as safe text
    parts: tuple[ScanFile, ...] = ()  # the files of one scan; empty for a single file

    @property
    def files(self) -> tuple[ScanFile, ...]:
        """The parts, or the file itself."""
        return self.parts or (self,)

    @property
    def suffixes(self) -> frozenset[str]:
        """The extensions of its files."""
        return frozenset(suffix(file.path) for file in self.files)

    def __str__(self) -> str:
        return f"upload of {self.shown}"


def one_scan(files: Sequence[ScanFile]) -> ScanFile:
    """Return several files as the parts of one scan."""
    shown = some([file.shown for file in files[:SHOWN]], len(files))
    return ScanFile("", sum(file.size for file in files), shown, tuple(files))


def suffix(name: str) -> str:
    """Return the last extension of a file's name, in capitals; empty without an extension."""
    return fold(PurePath(name).suffix)


@dataclass(frozen=True, slots=True)
class PassCriteria:
    """ThreadFix's CI/CD pass criteria: all groups that the application is attached to."""

    since: date | None = None  # the first day of the scans that count as introduced; None for ThreadFix's default

    def __str__(self) -> str:
        return "pass criteria"


class Policy(NamedTuple):
    """A policy of ThreadFix, either by its id or by its name as typed."""

    id: int | None = None
    name: str | None = None
    remediation: bool = False  # whether the name is that of a time-to-remediate policy, not of a filter policy

    def __str__(self) -> str:
        if self.name is None:
            return f"policy {self.id}"
        return f"{'remediation ' if self.remediation else ''}policy '{_shown(self.name)}'"


@dataclass(frozen=True, slots=True)
class AllPolicies:
    """Every policy that is attached to the application."""

    def __str__(self) -> str:
        return "all policies"


Check = PassCriteria | Policy | AllPolicies
"""A check of the release."""
Subject = Target | ApplicationId | ApplicationName | ScanFile | Check
"""The subject of requests that may be repeated."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits and poll intervals in seconds, each the value of the option of the same name."""

    timeout: float = 1800.0  # 0 polls once
    interval: float = 2.0
    max_interval: float = 15.0
    request_timeout: float = 30.0
    first_contact_limit: float = 60.0
    outage_limit: float = 300.0
    upload_timeout: float = 600.0  # for each file
    settle_timeout: float = 120.0  # 0 accepts the first response


def _shown(name: str | None) -> str:
    # The origin of a name is unknown. No option may contain the key, so no secret must be removed.
    return Sanitizer().sanitize(name or "", NAME_LIMIT)
