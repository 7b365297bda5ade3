"""What happens during a wait, as data: what the console logs, and what the wait itself counts.

`at` is in seconds since the wait began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gate.history import Failure, History, Outage, ScanReading, Target


@dataclass(frozen=True, slots=True)
class StatusSeen:
    """A status that differs from the one before, or the first one.

    Attributes:
        target: the scan.
        at: when it was seen.
        reading: the response with it.
        previous: the status before; None for the first one.
        lasted: how long that one lasted, in seconds.
    """

    target: Target
    at: float
    reading: ScanReading
    previous: str | None = None
    lasted: float = 0.0


@dataclass(frozen=True, slots=True)
class OutageBegan:
    """The first error of an outage.

    Attributes:
        target: the scan.
        at: when it came.
        failure: the error.
        limit: seconds for which the gate retries; 0 at the deadline.
        first_contact: whether there was no good response before it.
    """

    target: Target
    at: float
    failure: Failure
    limit: float
    first_contact: bool = False


@dataclass(frozen=True, slots=True)
class OutageEnded:
    """The good response that ended an outage.

    Attributes:
        target: the scan.
        at: when it came.
        outage: what it ended.
    """

    target: Target
    at: float
    outage: Outage


@dataclass(frozen=True, slots=True)
class CutOff:
    """The deadline came while a request was under way, so it was given up for the last one. That is no error.

    Attributes:
        target: the scan.
        at: when it was cut off.
    """

    target: Target
    at: float


@dataclass(frozen=True, slots=True)
class Stalled:
    """The status has not changed for long.

    Attributes:
        target: the scan.
        at: when that was noticed.
        status: the status.
        unchanged: seconds since it was first seen.
    """

    target: Target
    at: float
    status: str
    unchanged: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A wait is over.

    Attributes:
        history: all that it saw.
    """

    history: History


Event = StatusSeen | OutageBegan | OutageEnded | CutOff | Stalled | Ended
