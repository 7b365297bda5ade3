"""What happens during a wait, as data: each wait puts it into a queue, and the calling thread tells it to people.

Times are seconds since the wait began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from gate.history import R, ScanReading

if TYPE_CHECKING:
    from gate.history import Failure, History, Outage, Target


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

    target: Target
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

    target: Target
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

    target: Target
    at: float
    outage: Outage


@dataclass(frozen=True, slots=True)
class CutOff:
    """The deadline came while a request was under way, so it was given up for the last one. That is no error.

    Attributes:
        target: what was asked for.
        at: when.
    """

    target: Target
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

    target: Target
    at: float
    status: str
    unchanged: float


@dataclass(frozen=True, slots=True)
class Ended(Generic[R]):
    """A wait is over.

    Attributes:
        history: all that it saw.
    """

    history: History[R]


@dataclass(frozen=True, slots=True)
class Broken:
    """A wait was ended by a bug.

    Attributes:
        error: the exception.
    """

    error: BaseException


Event = StatusSeen[R] | OutageBegan | OutageEnded | CutOff | Stalled | Ended[R]
ScanEvent = Event[ScanReading]
