"""What was seen, and when: the record that uploads and waits write, and that the verdict is read from.

Times are seconds since the wait began, unless they are called moments: those are seconds since the epoch, by the
server's clock. `None` means "not known".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from gate.reasons import Reason, Word
from gate.subjects import Check, ScanFile, Subject, Target

if TYPE_CHECKING:
    from collections.abc import Sequence


class Accept(Word):
    """A refusal that a user may take for a pass: nothing is wrong with the file, and nothing new is in it."""

    DUPLICATE = "duplicate"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A documented refusal.

    Attributes:
        text: ThreadFix's.
        meaning: what it means for the person at the red build. Markdown, in sentences.
        advice: what to do; a template of `gate.naming`.
        accept: what a user may call it to take it for a pass; None where nobody should.
    """

    text: str
    meaning: str
    advice: str
    accept: Accept | None = None


class Reading(Protocol):
    """What a good response says, whatever it is about."""

    @property
    def status(self) -> str:
        """One word; a history has a phase for each stretch in which it stays the same."""
        ...

    @property
    def sent(self) -> float | None:
        """The moment of the response: its `Date`."""
        ...


R = TypeVar("R", bound=Reading)
T = TypeVar("T", bound=Subject)


@dataclass(frozen=True, slots=True)
class ScanReading:
    """ThreadFix's answer about the pending scan that was asked for. Its texts are already safe (`gate.text`).

    Attributes:
        status: as the server wrote it, e.g. `FINDINGS_GENERATING`.
        error: the server's own flag; true means failure beside any status.
        error_message: what the server says went wrong.
        scan_id: the finished scan; ThreadFix 2.7.7 and later give it with DONE.
        name: the scan's name, usually that of the uploaded file.
        message: the server's words for the status.
        refusal: the documented refusal that `error_message` is, word for word; None where it is none.
        modified: the moment of its last change: `modifiedDate`.
        sent: the moment of the response: its `Date`.
    """

    status: str
    error: bool = False
    error_message: str | None = None
    scan_id: int | None = None
    name: str | None = None
    message: str | None = None
    refusal: Refusal | None = None
    modified: float | None = None
    sent: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds between the scan's last change and the response."""
        return None if self.modified is None or self.sent is None else self.sent - self.modified


@dataclass(frozen=True, slots=True)
class Failure:
    """Anything that is not a good answer.

    Attributes:
        reason: what it amounts to if nothing better comes.
        what: one sentence for a person; safe text.
        hint: what to do about it, where that can be said better than for the reason as a whole.
        final: asking again cannot help.
        retry_after: seconds that the server asks to be left alone.
        meaning: what it means, where that can be said better than for the reason as a whole.
        timed_out: the time that the request was given ended first.
        unsent: nothing of the request left this machine, so asking again cannot do anything twice.
        http_status: of the response that it is about; None where there was none.
        refused: ThreadFix itself said so, in its own format; else it may be whoever stands in front of it.
    """

    reason: Reason
    what: str
    hint: str | None = None
    final: bool = False
    retry_after: float | None = None
    meaning: str | None = None
    timed_out: bool = False
    unsent: bool = False
    http_status: int | None = None
    refused: bool = False


Observation = ScanReading | Failure

UNASKED: Final = Failure(Reason.INTERNAL, "ThreadFix has not been asked yet.")
"""What stands for the newest observation before the first one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch in which the status did not change.

    Attributes:
        status: as the server wrote it.
        first_seen: when it was first seen.
        last_seen: when it was last seen.
        polls: responses that had it.
        errors: failed polls before the next status.
    """

    status: str
    first_seen: float
    last_seen: float
    polls: int = 1
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of failed polls: from its first error to the good response that ended it, if any did.

    Attributes:
        began: when its first error came.
        newest: its newest error.
        polls: how many failed.
        ended: when a good response ended it; None where none did.
    """

    began: float
    newest: Failure
    polls: int = 1
    ended: float | None = None


class StopCause(Enum):
    """Why the wait stopped asking."""

    DECIDED = "decided"
    LIMIT = "limit"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class History(Generic[T, R]):
    """Everything one wait saw; generic in what it asks about, and in what it reads.

    Attributes:
        target: what was asked about.
        ended: why the wait stopped asking; None while it goes on.
        elapsed: how long the wait took, or has taken so far.
        polls: requests made.
        errors: those of them that failed.
        phases: every status, in the order seen.
        outages: every stretch of failed polls, in the order in which they began.
        newest: the last observation, good or bad.
        reading: the last good one.
        unfinished: the moment of the newest good one that did not end the wait.
    """

    target: T
    ended: StopCause | None
    elapsed: float = 0.0
    polls: int = 0
    errors: int = 0
    phases: tuple[Phase, ...] = ()
    outages: tuple[Outage, ...] = ()
    newest: R | Failure = UNASKED
    reading: R | None = None
    unfinished: float | None = None

    def lasted(self, index: int) -> float:
        """Seconds that phase `index` lasted: to the first sight of the next one, or to the end."""
        until = self.phases[index + 1].first_seen if index + 1 < len(self.phases) else self.elapsed
        return until - self.phases[index].first_seen

    def outage_end(self, outage: Outage) -> float:
        """When an outage ended: with the good response that ended it, or with the wait."""
        return self.elapsed if outage.ended is None else outage.ended


ScanHistory = History[Target, ScanReading]


# --- Applications.


@dataclass(frozen=True, slots=True)
class Application:
    """An application as ThreadFix describes it.

    Attributes:
        id: ThreadFix's.
        name: as safe text; empty where it has none.
        team_id: of its team.
    """

    id: int
    name: str = ""
    team_id: int | None = None

    @property
    def status(self) -> str:
        """It is there."""
        return "found"

    @property
    def sent(self) -> None:
        """Return None: nothing depends on the moment of this response."""


@dataclass(frozen=True, slots=True)
class ListedScans:
    """The scans of an application.

    Attributes:
        updated: each scan's id and the moment of its last change (`updatedDate`), as the server sent it.
        sent: the moment of the response: its `Date`.
    """

    updated: tuple[tuple[int | None, float | None], ...] = ()
    sent: float | None = None

    @property
    def status(self) -> str:
        """Return the one status of a list."""
        return "listed"


# --- Uploads.


@dataclass(frozen=True, slots=True)
class Queued:
    """ThreadFix took a file and queued it.

    Attributes:
        targets: the pending scans that it made of the file; at least one.
        sent: the moment of the response: its `Date`.
    """

    targets: tuple[Target, ...]
    sent: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """ThreadFix took a file and processed it at once, as its oldest REST API does.

    Attributes:
        scan_id: the finished scan.
        sent: the moment of the response: its `Date`.
    """

    scan_id: int
    sent: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """ThreadFix took the request and refused the file.

    Attributes:
        text: what it says, as safe text; empty where it says nothing.
        refusal: the documented refusal that this is, word for word; None where it is none.
    """

    text: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The gate was stopped before it sent anything of a file."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The gate was stopped while a file was being sent: nobody knows whether ThreadFix has it."""


Receipt = Queued | Finished | Refused | Failure | NotSent | BrokenOff
"""What became of an upload; with a failure nobody knows whether ThreadFix has the file, unless nothing was sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, and what became of its upload.

    Attributes:
        file: which file.
        receipt: what ThreadFix made of it, or what came instead.
        elapsed: seconds that it took, all attempts together.
        began: when it began, on the monotonic clock; None if the gate did not make it.
    """

    file: ScanFile
    receipt: Receipt
    elapsed: float = 0.0
    began: float | None = None

    @property
    def targets(self) -> tuple[Target, ...]:
        """The pending scans that ThreadFix made of it."""
        return self.receipt.targets if isinstance(self.receipt, Queued) else ()


# --- Checks of the release.


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What ThreadFix says of one policy, or of one criterion.

    Attributes:
        name: the policy's, or the severity that the criterion limits; safe text.
        holds: whether it does; None where ThreadFix says neither.
        word: ThreadFix's own for it, such as `PASSING`; safe text.
        limits: what it allows, in words, such as `at most 0 open`; empty where that is not known.
        severity: ThreadFix's number of that severity, from 1 (Info) to 5 (Critical).
        count: open vulnerabilities of that severity.
        evaluated: the moment at which ThreadFix evaluated it last.
        behind: seconds by which that is older than the scan; 0 where it is not; None where it cannot be told.
        policy_id: ThreadFix's id of the policy; None for a criterion.
    """

    name: str
    holds: bool | None
    word: str
    limits: tuple[str, ...] = ()
    severity: int | None = None
    count: int | None = None
    evaluated: float | None = None
    behind: float | None = 0.0
    policy_id: int | None = None


STALE: Final = "stale"
"""Status of a reading that may be from before the scan."""
FRESH: Final = "fresh"
"""Status of a reading that is about the scan."""
UNCHECKED: Final = "unchecked"
"""Status of a reading without time to settle: it counts, fresh or not."""


@dataclass(frozen=True, slots=True)
class CheckReading:
    """ThreadFix's response to a check.

    Attributes:
        status: `FRESH`, `STALE` or `UNCHECKED`.
        holds: whether ThreadFix says that the check holds; None where it says neither, or evaluated nothing.
        results: what it says of each policy or criterion.
        sent: the moment of the response: its `Date`.
        agreement: the part of a response without dates that the next response must repeat. Never shown: not safe text.
    """

    status: str
    holds: bool | None
    results: tuple[CheckResult, ...] = ()
    sent: float | None = field(default=None, compare=False)
    agreement: object = field(default=None, compare=False, repr=False)


def all_hold(results: Sequence[CheckResult]) -> bool | None:
    """Return whether all results hold: False if any does not, None if any is undecided or there are none."""
    answers = {result.holds for result in results}
    return False if False in answers else None if None in answers or not answers else True


CheckHistory = History[Check, CheckReading]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An open vulnerability that is in the way of a release. All texts are safe.

    Attributes:
        id: ThreadFix's.
        name: of its kind, such as a CWE's.
        severity: as ThreadFix calls it.
        place: path, parameter or dependency; empty where it is not known.
        url: its page in ThreadFix; None where a part of that is not known.
    """

    id: int
    name: str
    severity: str
    place: str = ""
    url: str | None = None
