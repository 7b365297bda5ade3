"""The events of uploads and waits, as data. Each wait puts them into a queue, and the calling thread logs them.

`at` is seconds since the wait began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple

from gate.model.history import Failure, History, Outage, R, T, Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.model.subjects import ScanFile, Subject

    # Called with the bytes sent so far and, after all of them, with the SHA-256 of each file in hexadecimal digits.
    SendProgress = Callable[[int, tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class StatusSeen(Generic[R]):
    """The first status, or a status that differs from the previous status."""

    target: Subject
    at: float
    reading: R
    previous: str | None = None  # None for the first status
    lasted: float = 0.0  # seconds of the previous status


class OutageBegan(NamedTuple):
    """The first failure of an outage."""

    target: Subject
    at: float
    failure: Failure
    limit: float  # seconds until the wait gives up; 0 at the deadline


class OutageEnded(NamedTuple):
    """A good response after an outage."""

    target: Subject
    at: float
    outage: Outage


class CutOff(NamedTuple):
    """The deadline interrupted a request to make time for the last poll. This is not an error."""

    target: Subject
    at: float


class Stalled(NamedTuple):
    """The status has not changed for a long time. At most one event for each status."""

    target: Subject
    at: float
    status: str
    unchanged: float  # seconds


@dataclass(frozen=True, slots=True)
class Ended(Generic[T, R]):
    """A wait is over."""

    history: History[T, R]


class UploadBegan(NamedTuple):
    """An upload begins."""

    file: ScanFile
    number: int = 1  # its place among the files, from 1
    files: int = 1  # the number of files


class UploadProgress(NamedTuple):
    """The upload of a file progresses."""

    file: ScanFile
    sent: int  # bytes so far
    elapsed: float  # seconds since its upload began


class UploadEnded(NamedTuple):
    """An upload has a result."""

    upload: Upload


class Broken(NamedTuple):
    """A bug ended a wait."""

    error: BaseException


Event = StatusSeen[R] | OutageBegan | OutageEnded | CutOff | Stalled | Ended[T, R]
UploadEvent = UploadBegan | UploadProgress | UploadEnded | OutageBegan | OutageEnded
