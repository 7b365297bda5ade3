"""What happens during a wait, as data: each wait puts it into a queue, and the calling thread tells it to people.

Times are seconds since the wait began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from gate.model.history import R, ScanReading, T
from gate.model.subjects import Target

if TYPE_CHECKING:
    from gate.model.history import Failure, History, Outage, Upload
    from gate.model.subjects import ScanFile, Subject


@dataclass(frozen=True, slots=True)
class StatusSeen(Generic[R]):
    """A status that differs from the one before, or the first one.

    Attributes:
        target: what was asked for.
        at: when.
        reading: what the good response said.
        previous: the status before; None for the first one.
        lasted: seconds for which the one before was seen.
    """

    target: Subject
    at: float
    reading: R
    previous: str | None = None
    lasted: float = 0.0


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The first failure of an outage.

    Attributes:
        target: what was asked for.
        at: when.
        failure: what went wrong.
        limit: seconds for which polls are still made; 0 at the deadline.
        first_contact: whether there was no good response before it.
    """

    target: Subject
    at: float
    failure: Failure
    limit: float
    first_contact: bool = False


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """A good response after an outage.

    Attributes:
        target: what was asked for.
        at: when.
        outage: what it was.
    """

    target: Subject
    at: float
    outage: Outage


@dataclass(frozen=True, slots=True)
class CutOff:
    """The deadline came while a request was under way, so it was given up for the last one. That is no error.

    Attributes:
        target: what was asked for.
        at: when.
    """

    target: Subject
    at: float


@dataclass(frozen=True, slots=True)
class Stalled:
    """The status has not changed for a long time; told once for each status.

    Attributes:
        target: what was asked for.
        at: when.
        status: which one.
        unchanged: for how many seconds.
    """

    target: Subject
    at: float
    status: str
    unchanged: float


@dataclass(frozen=True, slots=True)
class Ended(Generic[T, R]):
    """A wait is over.

    Attributes:
        history: all that it saw.
    """

    history: History[T, R]


@dataclass(frozen=True, slots=True)
class UploadBegan:
    """A file is about to be sent.

    Attributes:
        file: which file.
        number: its place among the files, from 1.
        files: how many there are.
    """

    file: ScanFile
    number: int = 1
    files: int = 1


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """More of a file has been sent.

    Attributes:
        file: which file.
        sent: bytes so far.
        elapsed: seconds since its upload began.
    """

    file: ScanFile
    sent: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class UploadEnded:
    """It is known what became of an upload.

    Attributes:
        upload: the file, and what became of it.
    """

    upload: Upload


@dataclass(frozen=True, slots=True)
class Broken:
    """A wait was ended by a bug.

    Attributes:
        error: the exception.
    """

    error: BaseException


Event = StatusSeen[R] | OutageBegan | OutageEnded | CutOff | Stalled | Ended[T, R]
UploadEvent = UploadBegan | UploadProgress | UploadEnded | OutageBegan | OutageEnded
ScanEvent = Event[ScanReading, Target]
