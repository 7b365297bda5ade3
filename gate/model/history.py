"""What was seen, and when: the record that uploads and waits write, and that the verdict is read from.

Times are seconds since the wait began, unless they are called moments: those are seconds since the epoch, by the
server's clock. `None` means "not known".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from gate.model.advice import FailureKind
from gate.model.reasons import Reason, Word
from gate.model.subjects import Check, ScanFile, Subject, Target

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
        meaning: the consequence for the person at the red build. Markdown, in sentences.
        advice: the next step; a template of `gate.text.naming`.
        accept: the value of `--accept` for it; None if it never counts as a pass.
    """

    text: str
    meaning: str
    advice: str
    accept: Accept | None = None


class Reading(Protocol):
    """The content of a good response about any subject."""

    @property
    def status(self) -> str:
        """A single word; a history has a phase for each period without a change of it."""
        ...

    @property
    def sent(self) -> float | None:
        """The moment of the response: its `Date`."""
        ...


R = TypeVar("R", bound=Reading)
T = TypeVar("T", bound=Subject)


@dataclass(frozen=True, slots=True)
class ScanReading:
    """ThreadFix's response about the requested pending scan. Its texts are safe (`gate.text.sanitizer`).

    Attributes:
        status: as the server wrote it, e.g. `FINDINGS_GENERATING`.
        error: the server's own flag; true means failure with any status.
        error_message: the server's.
        scan_id: the finished scan; ThreadFix 2.7.7 and later give it with DONE.
        name: the scan's name, usually that of the uploaded file.
        message: the server's words for the status.
        refusal: the documented refusal whose text `error_message` is; None for other texts.
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
    """A request without a good response.

    Attributes:
        reason: of the verdict, if no good response follows.
        what: a sentence for a person; safe text, and never a template.
        hint: the next step, if it is known better than for the reason; a template of `naming`, without text of a
            server.
        final: asking again cannot help.
        retry_after: seconds that the server wants the gate to wait.
        meaning: the consequence, if it is known better than for the reason; a template, as `hint` is.
        timed_out: the request ended at its time limit.
        unsent: nothing of the request left this machine, so asking again cannot do anything twice.
        http_status: None without a response.
        refused: ThreadFix itself refused, in its own format; otherwise it may be a proxy.
        kind: for the advice.
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
    kind: FailureKind = FailureKind.OTHER


Observation = ScanReading | Failure

UNASKED: Final = Failure(Reason.INTERNAL, "ThreadFix has not been asked yet.")
"""The newest observation of a wait that has none yet."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A period without a change of the status.

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
    """A period of failed polls, from its first error to the good response that ended it.

    Attributes:
        began: when its first error came.
        newest: its newest error.
        polls: how many failed.
        ended: when a good response ended it; None if the outage is not over.
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
    """Everything that a wait saw; generic in its subject and its readings.

    Attributes:
        target: the subject.
        ended: why the wait stopped asking; None while it goes on.
        elapsed: how long the wait took, or has taken so far.
        polls: requests made.
        errors: failed requests.
        phases: every status, in the order seen.
        outages: every outage, by its beginning.
        newest: the last observation, good or bad.
        reading: the last good observation.
        unfinished: the moment of the newest good observation that did not end the wait.
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
        """Return the seconds of phase `index`, to the first sight of the next phase or to the end."""
        until = self.phases[index + 1].first_seen if index + 1 < len(self.phases) else self.elapsed
        return until - self.phases[index].first_seen

    def outage_end(self, outage: Outage) -> float:
        """Return the end of an outage: a good response, or the end of the wait."""
        return self.elapsed if outage.ended is None else outage.ended


ScanHistory = History[Target, ScanReading]


# --- Applications.


@dataclass(frozen=True, slots=True)
class Application:
    """An application as ThreadFix describes it.

    Attributes:
        id: ThreadFix's.
        name: as safe text; empty if it has no name.
        team_id: of its team.
    """

    id: int
    name: str = ""
    team_id: int | None = None

    @property
    def status(self) -> str:
        """Always found: another response is a failure."""
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
        """Always listed: another response is a failure."""
        return "listed"


# --- Uploads.


@dataclass(frozen=True, slots=True)
class Queued:
    """ThreadFix took a file and queued it.

    Attributes:
        targets: the pending scans that it made of the file; not empty.
        sent: the moment of the response: its `Date`.
    """

    targets: tuple[Target, ...]
    sent: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """ThreadFix took a file and processed it immediately, as its oldest REST API does.

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
        text: ThreadFix's, as safe text; may be empty.
        refusal: the documented refusal with this text; None for other texts.
    """

    text: str
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """The gate was stopped before it sent anything of a file."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """The gate was stopped while it sent a file. ThreadFix may or may not have the file."""


Receipt = Queued | Finished | Refused | Failure | NotSent | BrokenOff
"""The result of an upload. After a failure ThreadFix may have the file, unless nothing was sent."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file, and the result of its upload.

    Attributes:
        file: the file.
        receipt: the result.
        elapsed: seconds of all attempts together.
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
    """ThreadFix's result for a policy or a criterion.

    Attributes:
        name: the policy's, or the severity that the criterion limits; safe text.
        holds: None if ThreadFix reported neither.
        word: ThreadFix's own, such as `PASSING`; safe text.
        limits: in words, such as `at most 0 open`; empty if unknown.
        severity: ThreadFix's number of that severity, from 1 (Info) to 5 (Critical).
        count: open vulnerabilities of that severity.
        evaluated: the moment of ThreadFix's newest evaluation.
        behind: seconds between that moment and the later scan; 0 if the scan is not later; None if unknown.
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
        holds: whether the check holds; None if ThreadFix reported neither, or evaluated nothing.
        results: of each policy or criterion.
        sent: the moment of the response: its `Date`.
        agreement: the part of a response without dates that the next response must repeat. Never shown: not safe text.
    """

    status: str
    holds: bool | None
    results: tuple[CheckResult, ...] = ()
    sent: float | None = field(default=None, compare=False)
    agreement: object = field(default=None, compare=False, repr=False)


def all_hold(results: Sequence[CheckResult]) -> bool | None:
    """Return whether all results hold: False if any does not, None if any is undecided or there is no result."""
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
        place: path, parameter or dependency; empty if unknown.
        url: its page in ThreadFix; None if unknown.
    """

    id: int
    name: str
    severity: str
    place: str = ""
    url: str | None = None
