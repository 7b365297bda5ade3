"""What can be asked about, as data: a pending scan, an application, a file to upload, a check of the release.

Each has the words with which people read of it (`str`), and a short label for the lines of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from gate.text.sanitizer import Sanitizer

if TYPE_CHECKING:
    from datetime import date

NAME_LIMIT: Final = 200
"""Characters that are shown of a name that was typed."""


class Subject(Protocol):
    """Anything that is asked about more than once."""

    @property
    def label(self) -> str:
        """What stands in front of a line of the log where there are several; safe text."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """One pending scan of one application, by ThreadFix's ids."""

    application_id: int
    pending_scan_id: int

    def __str__(self) -> str:
        return f"pending scan {self.pending_scan_id} of application {self.application_id}"

    @property
    def label(self) -> str:
        """The pending scan's number."""
        return f"#{self.pending_scan_id}"


@dataclass(frozen=True, slots=True)
class ApplicationId:
    """An application by its id."""

    id: int

    def __str__(self) -> str:
        return f"application {self.id}"

    @property
    def label(self) -> str:
        """The application."""
        return str(self)


@dataclass(frozen=True, slots=True)
class ApplicationName:
    """An application by the names that people gave it, as they were typed.

    Attributes:
        team: its team's name.
        name: its own name within the team; None where it goes by its unique id.
        unique_id: the id that people gave it; None where it goes by its name.
    """

    team: str
    name: str | None = None
    unique_id: str | None = None

    def __str__(self) -> str:
        own = f"'{_shown(self.name)}'" if self.name is not None else f"with the unique id '{_shown(self.unique_id)}'"
        return f"application {own} of team '{_shown(self.team)}'"

    @property
    def label(self) -> str:
        """The application."""
        return str(self)


@dataclass(frozen=True, slots=True)
class ScanFile:
    """A file to upload.

    Attributes:
        path: where it is.
        size: its bytes when the gate started.
        shown: the path as safe text.
    """

    path: str
    size: int
    shown: str

    def __str__(self) -> str:
        return f"upload of {self.shown}"

    @property
    def label(self) -> str:
        """The path."""
        return self.shown


@dataclass(frozen=True, slots=True)
class PassCriteria:
    """ThreadFix's CI/CD pass criteria, all groups that the application is attached to.

    Attributes:
        since: the first day of the scans that count as introduced; None for ThreadFix's own bound.
    """

    since: date | None = None

    def __str__(self) -> str:
        return "pass criteria"

    @property
    def label(self) -> str:
        """The check."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of ThreadFix, by its id or by its name.

    Attributes:
        id: None where it goes by its name.
        name: as typed; None where it goes by its id.
        remediation: whether the name is that of a time-to-remediate policy, else of a filter policy.
    """

    id: int | None = None
    name: str | None = None
    remediation: bool = False

    def __str__(self) -> str:
        if self.name is None:
            return f"policy {self.id}"
        return f"{'remediation ' if self.remediation else ''}policy '{_shown(self.name)}'"

    @property
    def label(self) -> str:
        """The check."""
        return str(self)


@dataclass(frozen=True, slots=True)
class AllPolicies:
    """Every policy that is attached to the application."""

    def __str__(self) -> str:
        return "all policies"

    @property
    def label(self) -> str:
        """The check."""
        return str(self)


Check = PassCriteria | Policy | AllPolicies
"""What may be asked before a release goes out."""


def _shown(name: str | None) -> str:
    """A name that was typed as safe text: who typed it, or made it up, is not known. No option may contain the key."""
    return Sanitizer().sanitize(name or "", NAME_LIMIT)
