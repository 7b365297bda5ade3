"""The record of a run: uploads and waits write it, and the verdict is read from it.

Times are seconds since the wait began. Moments are seconds since the epoch by the server's clock; `sent` is the moment
of a response, its `Date`. `None` means unknown. Texts are safe (`gate.text.sanitizer`) unless noted otherwise.

The simple records are named tuples, because each dataclass costs half a millisecond at every start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from gate.model.advice import LASTING, LOOKUPS, NOT_SERVED, Doing, FailureKind
from gate.model.reasons import Reason, Word
from gate.model.subjects import Check, ScanFile, Subject, Target
from gate.text.wording import instant

if TYPE_CHECKING:
    from collections.abc import Sequence


class Accept(Word):
    """A refusal that a user may accept as a pass: the file is fine, but has nothing new in it."""

    DUPLICATE = "duplicate"
    EMPTY = "empty"


class Refusal(NamedTuple):
    """A documented refusal. Its advice is a template of `gate.text.wording`."""

    text: str  # ThreadFix's
    meaning: str  # the consequence for the person at the red build; Markdown, in sentences
    advice: str
    accept: Accept | None = None  # the value of `--accept` for it; None if it never counts as a pass


@dataclass(frozen=True, slots=True)
class ScanReading:
    """ThreadFix's response about a pending scan."""

    status: str  # as the server wrote it, such as `FINDINGS_GENERATING`
    error: bool = False  # the server's flag; true means failure with any status
    error_message: str | None = None
    scan_id: int | None = None  # the finished scan; ThreadFix 2.7.7 and later send it with DONE
    name: str | None = None  # the scan's, usually that of the uploaded file
    message: str | None = None  # the server's words for the status
    refusal: Refusal | None = None  # the documented refusal with the text `error_message`
    modified: float | None = None  # the moment of the scan's last change: `modifiedDate`
    sent: float | None = None
    suffixes: tuple[str, ...] = ()  # of each of its files (`originalName`); not safe text; empty if unknown

    @property
    def age(self) -> float | None:
        """Seconds between the scan's last change and the response."""
        return None if self.modified is None or self.sent is None else self.sent - self.modified


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a good response; `gate.model.advice` has the advice by kind and purpose."""

    reason: Reason  # of the verdict, if no good response follows
    what: str  # a sentence for a person; never a template
    kind: FailureKind = FailureKind.OTHER
    doing: Doing = Doing.STATUS
    final: bool = False  # asking again cannot help
    retry_after: float | None = None  # seconds that the server wants the gate to wait
    unsent: bool = False  # nothing of the request left this machine, so asking again cannot do anything twice
    http_status: int | None = None  # None without a response
    refused: bool = False  # ThreadFix itself refused, in its own format; otherwise it may be a proxy
    candidates: str = ""  # a sentence with the names that exist, for the verdict; the log of an error has only `what`

    @property
    def complete(self) -> str:
        """The failure with the candidates."""
        return f"{self.what} {self.candidates}".rstrip()

    @property
    def timed_out(self) -> bool:
        """Whether the request ended at its time limit."""
        return self.kind is FailureKind.TIMEOUT

    @property
    def is_missing(self) -> bool:
        """Whether ThreadFix itself reported that an application, a team or a name does not exist."""
        is_its_word = self.kind is FailureKind.NOT_FOUND or (self.kind is FailureKind.NO_ENDPOINT and self.refused)
        return is_its_word and self.doing in LOOKUPS

    @property
    def is_lasting(self) -> bool:
        """Whether the failure seldom passes by itself."""
        return self.is_missing or self.kind in LASTING


Observation = ScanReading | Failure

NOT_POLLED: Final = Failure(Reason.INTERNAL, "ThreadFix has not been asked yet.")
"""The newest observation before the first response."""


class Phase(NamedTuple):
    """A period without a change of the status."""

    status: str  # as the server wrote it
    first_seen: float
    last_seen: float
    polls: int = 1  # responses with the status
    errors: int = 0  # failed polls before the next status


class Outage(NamedTuple):
    """A period of failed polls, from its first error to the good response that ended it."""

    began: float
    newest: Failure
    polls: int = 1  # the failed polls
    ended: float | None = None  # None if the outage is not over


class StopCause(Enum):
    """Why the wait stopped asking."""

    DECIDED = "decided"
    LIMIT = "limit"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


class Application(NamedTuple):
    """An application as ThreadFix describes it; without names and team if ThreadFix was not asked for it."""

    id: int
    name: str = ""
    team_id: int | None = None
    team: str = ""
    status: str = "found"
    sent: float | None = None

    @property
    def sentence(self) -> str:
        """The known names as a sentence that follows another; empty without a name."""
        team = f" of team '{self.team}'" if self.team else ""
        return f" Application '{self.name}'{team}." if self.name else ""


class ListedScans(NamedTuple):
    """The scans of an application: the id of each, and the moment of its last change (`updatedDate`) as sent."""

    updated: tuple[tuple[int | None, float | None], ...] = ()
    sent: float | None = None
    status: str = "listed"
    scanners: tuple[tuple[int, str], ...] = ()  # the name of each scan's scanner, by the scan's id


class NewestScan(NamedTuple):
    """The newest scan of an application; `str` returns it as a sentence without its full stop."""

    id: int | None
    updated: float | None = None  # the moment of its last change
    age: float = 0.0  # seconds between that moment and the response; 0 if unknown

    def __str__(self) -> str:
        name = "The newest scan" if self.id is None else f"The newest scan is {self.id}, and"
        return f"{name} was processed at {instant(self.updated) or 'an unknown time'}"


# --- Uploads.


class Queued(NamedTuple):
    """ThreadFix accepted a file and created at least one pending scan from it."""

    targets: tuple[Target, ...]
    sent: float | None = None


class Finished(NamedTuple):
    """ThreadFix accepted a file and processed it immediately, as its oldest REST API does."""

    scan_id: int
    sent: float | None = None
    scanner: str | None = None


class Refused(NamedTuple):
    """ThreadFix accepted the request and refused the file."""

    text: str  # ThreadFix's; may be empty
    refusal: Refusal | None = None  # the documented refusal with this text


class Unfinished(Word):
    """An upload when the gate was stopped. After `BROKEN_OFF` ThreadFix may or may not have the file."""

    NOT_SENT = "not sent"
    BROKEN_OFF = "broken off"


Receipt = Queued | Finished | Refused | Failure | Unfinished
"""The result of an upload. After a failure ThreadFix may have the file, unless nothing was sent."""


NOT_TAKEN: Final = frozenset({
    *NOT_SERVED, FailureKind.DENIED, FailureKind.NO_CONTENT, FailureKind.NO_ENDPOINT, FailureKind.NO_PARTS,
    FailureKind.TOO_LARGE, FailureKind.REDIRECT, FailureKind.REDIRECT_TO_HTTPS, FailureKind.PROXY_LOGIN,
    FailureKind.REJECTED, FailureKind.FILE_CHANGED,
})  # fmt: skip
"""Kinds of failure after which ThreadFix does not have the file."""


class Upload(NamedTuple):
    """A file, and the result of its upload."""

    file: ScanFile
    receipt: Receipt
    elapsed: float = 0.0  # seconds of all attempts together
    began: float | None = None  # when the upload began, on the monotonic clock; None if an earlier run made it
    digests: tuple[str, ...] = ()  # the SHA-256 of each file, in hexadecimal digits; empty unless all were sent whole

    @property
    def hashed(self) -> tuple[tuple[ScanFile, str | None], ...]:
        """Each file with its SHA-256."""
        return tuple(zip_longest(self.file.files, self.digests))

    @property
    def targets(self) -> tuple[Target, ...]:
        """The pending scans that ThreadFix created from the file."""
        return self.receipt.targets if isinstance(self.receipt, Queued) else ()


# --- Checks of the release.


@dataclass(frozen=True, slots=True)
class CheckResult:
    """ThreadFix's result for a policy or a criterion."""

    name: str  # the policy's, or the severity that the criterion limits
    holds: bool | None  # None if ThreadFix reported neither
    word: str  # ThreadFix's, such as `PASSING`
    limits: tuple[str, ...] = ()  # in words, such as `at most 0 open`
    severity: int | None = None  # ThreadFix's number of that severity, from 1 (Info) to 5 (Critical)
    count: int | None = None  # open vulnerabilities of that severity
    evaluated: float | None = None  # the moment of the newest evaluation
    behind: float | None = 0.0  # seconds from that moment to the newest scan; 0 if the scan is not later
    policy_id: int | None = None  # None for a criterion
    # The policy's name as ThreadFix sent it, which is not safe text, and whether it is for remediation, if known.
    policy: tuple[str, bool | None] = field(default=("", None), compare=False, repr=False)

    def is_about(self, other: CheckResult) -> bool:
        """Return whether both are about the same policy."""
        (name, kind), (other_name, other_kind) = self.policy, other.policy
        same_kind = kind is other_kind or None in {kind, other_kind}
        return same_kind and (self.policy_id, name) == (other.policy_id, other_name)


STALE: Final = "stale"  # status of a reading that may be older than the scan
FRESH: Final = "fresh"  # status of a reading that is about the scan
UNCHECKED: Final = "unchecked"  # status of a reading without time to settle: it counts, fresh or not


@dataclass(frozen=True, slots=True)
class CheckReading:
    """ThreadFix's response to a check. `agreement` is not safe text and must not be shown."""

    status: str  # `FRESH`, `STALE` or `UNCHECKED`
    holds: bool | None  # None if ThreadFix reported neither, or evaluated nothing
    results: tuple[CheckResult, ...] = ()  # of each policy or criterion
    sent: float | None = field(default=None, compare=False)
    # The part of a response without dates that the next response must repeat.
    agreement: object = field(default=None, compare=False, repr=False)


def all_hold(results: Sequence[CheckResult]) -> bool | None:
    """Return whether all results hold: False if any does not, None if any is undecided or there is no result."""
    held = {result.holds for result in results}
    return False if False in held else None if None in held or not held else True


class Obstacle(NamedTuple):
    """An open vulnerability that is in the way of a release."""

    id: int
    name: str  # of its kind, such as a CWE's
    severity: str  # as ThreadFix calls it
    place: str = ""  # path, parameter or dependency; empty if unknown
    url: str | None = None  # its page in ThreadFix


# --- Waits.

Reading = ScanReading | CheckReading | Application | ListedScans
"""The content of a good response. A history has a phase for each period without a change of its status."""
R = TypeVar("R", bound=Reading)
T = TypeVar("T", bound=Subject)


@dataclass(frozen=True, slots=True)
class History(Generic[T, R]):
    """The record of a wait; generic in its subject and its readings."""

    target: T
    ended: StopCause | None  # None while the wait goes on
    elapsed: float = 0.0  # of the wait so far
    polls: int = 0
    errors: int = 0  # failed polls
    phases: tuple[Phase, ...] = ()  # in the order of their beginning, as are the outages
    outages: tuple[Outage, ...] = ()
    newest: R | Failure = NOT_POLLED
    reading: R | None = None  # the newest good response
    unfinished: float | None = None  # the moment of the newest good response that did not end the wait

    def lasted(self, index: int) -> float:
        """Return the seconds of phase `index`, to the first sight of the next phase or to the end."""
        until = self.phases[index + 1].first_seen if index + 1 < len(self.phases) else self.elapsed
        return until - self.phases[index].first_seen

    def outage_lasted(self, outage: Outage) -> float:
        """Return the seconds of an outage, to a good response or to the end of the wait."""
        return (self.elapsed if outage.ended is None else outage.ended) - outage.began


ScanHistory = History[Target, ScanReading]
CheckHistory = History[Check, CheckReading]
