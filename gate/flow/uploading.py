"""Upload files in their order, and refuse scans that are not theirs. Nothing is sent twice.

One thread sends. The calling thread receives its events, and stops it after a signal. One lock guards the current file
and the stop, so that no upload begins after the gate was stopped.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from gate.flow.waiting import cadence
from gate.model.advice import FailureKind
from gate.model.events import Broken, OutageBegan, OutageEnded, UploadBegan, UploadEnded, UploadProgress
from gate.model.history import Failure, Finished, Outage, Unfinished, Upload
from gate.model.reasons import Reason
from gate.net import start_thread
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gate.flow.signals import Signals
    from gate.model.events import SendProgress, UploadEvent
    from gate.model.history import Observation, Receipt
    from gate.model.subjects import Plan, ScanFile, Target
    from gate.threadfix.rules import Rules

    Events = queue.SimpleQueue[UploadEvent | Broken]

PROGRESS: Final = 0.1  # minimum of seconds between two reports of the progress; a file's end is always reported


def upload_all(  # noqa: PLR0913 - the work and its limits
    files: Sequence[ScanFile],
    send: Callable[[ScanFile, SendProgress], Receipt],
    *,
    plan: Plan,
    jitter: Callable[[], float],
    signals: Signals,
    notify: Callable[[UploadEvent], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], bool] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Upload, ...]:
    """Upload the files one after the other; return the result of each, in the same order.

    `send` makes one attempt to send a file, in another thread, and reports the number of bytes sent. It returns a
    failure that is `unsent` if nothing of the request has left this machine. `notify` and `tick` are called in this
    thread: with every event, and several times a second while no event comes. `jitter` and `sleep` are as for
    `Schedule`; the default of `sleep` wakes up at the stop.

    Raises:
        OutOfThreadsError: no thread could be started, so nothing was sent.
        BaseException: a bug.
    """
    stop = threading.Event()
    uploads = _Uploads(files, send, plan, jitter, clock, sleep or stop.wait)
    try:
        start_thread(uploads.work, "uploads")
        signals.relay(uploads.events, len(files), UploadEnded, notify, tick)
    finally:
        uploads.stop()
        stop.set()
    # After a signal, they show which files were not sent completely.
    return uploads.receipts()


@dataclass
class _Uploads:
    """The uploads of one run; the arguments are those of `upload_all`."""

    _files: Sequence[ScanFile]
    _send: Callable[[ScanFile, SendProgress], Receipt]
    _plan: Plan
    _jitter: Callable[[], float]
    _clock: Callable[[], float]
    _sleep: Callable[[float], bool]
    events: Events = field(default_factory=queue.SimpleQueue)
    # The rest is changed under the lock.
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _finished: list[Upload] = field(default_factory=list)
    _began: float = 0.0
    _meter: _Meter | None = None  # of the newest attempt
    _sending: bool = False
    _stopped: bool = False

    def work(self) -> None:
        """Upload one file after the other, in the thread that sends."""
        try:
            while len(self._finished) < len(self._files) and not self._stopped:
                self._upload(self._files[len(self._finished)])
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            self.events.put(Broken(error))

    def stop(self) -> None:
        """Let no further attempt begin. The current attempt goes on."""
        with self._lock:
            self._stopped = True

    def receipts(self) -> tuple[Upload, ...]:
        """Return the result of each file, after `stop`."""
        with self._lock:
            finished = tuple(self._finished)
            if len(finished) == len(self._files):
                return finished
            if self._sending:
                file = self._files[len(finished)]
                finished += (self._result(file, Unfinished.BROKEN_OFF),)
        return finished + tuple(Upload(file, Unfinished.NOT_SENT) for file in self._files[len(finished) :])

    def _upload(self, file: ScanFile) -> None:
        """Try to send one file until it is sent, refused, or an outage reaches its limit."""
        self._began = self._clock()
        self.events.put(UploadBegan(file, len(self._finished) + 1, len(self._files)))
        outage: Outage | None = None
        at_limit = False
        while (receipt := self._attempt(file, outage)) is not None:
            if not isinstance(receipt, Failure) or not receipt.unsent or receipt.final or at_limit:
                if outage and isinstance(receipt, Failure) and receipt.unsent:
                    receipt = _after_outage(receipt, outage, self._now())
                self._end(self._result(file, receipt))
                return
            now = self._now()
            if outage is None:
                outage = Outage(now, receipt)
                self.events.put(OutageBegan(file, now, receipt, self._plan.first_contact_limit))
            else:
                outage = outage._replace(newest=receipt, polls=outage.polls + 1)
            limit = outage.began + self._plan.first_contact_limit
            pause = max(cadence(now, self._plan, self._jitter()), receipt.retry_after or 0.0)
            at_limit = now + pause >= limit
            if self._sleep(min(pause, max(0.0, limit - now))):
                return

    def _attempt(self, file: ScanFile, outage: Outage | None) -> Receipt | None:
        """Send a file once; return None if the gate is stopped."""
        with self._lock:
            if self._stopped:
                return None
            self._sending = True
            self._meter = meter = _Meter(file, outage, self._began, self._clock, self.events)
        receipt = self._send(file, meter)
        sent = not (isinstance(receipt, Failure) and receipt.unsent)
        meter.close(sent=sent)
        with self._lock:
            self._sending = sent
        return receipt

    def _result(self, file: ScanFile, receipt: Receipt) -> Upload:
        assert self._meter is not None  # noqa: S101 - there is no result without an attempt
        return Upload(file, receipt, self._now(), self._began, self._meter.digests)

    def _end(self, upload: Upload) -> None:
        with self._lock:
            if not self._stopped:
                self._sending = False
                self._finished.append(upload)
                self.events.put(UploadEnded(upload))

    def _now(self) -> float:
        return self._clock() - self._began


@dataclass
class _Meter:
    """Reports the progress of one attempt, and the end of an outage. Thread-safe."""

    _file: ScanFile
    _outage: Outage | None
    _began: float
    _clock: Callable[[], float]
    _events: Events
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _sent: int = 0
    _reported: int = 0
    _reported_at: float = -PROGRESS
    digests: tuple[str, ...] = ()

    def __call__(self, sent: int, digests: tuple[str, ...]) -> None:
        """Report the number of bytes sent so far, unless the attempt is over."""
        with self._lock:
            if not self._closed:
                self._sent, self.digests = sent, digests
                self._report()

    def close(self, *, sent: bool) -> None:
        """End the attempt; `sent` is true if anything may have left this machine."""
        with self._lock:
            self._closed = True
            if sent:
                self._report()

    def _report(self) -> None:
        now = self._clock() - self._began
        if self._outage:
            self._events.put(OutageEnded(self._file, now, self._outage._replace(ended=now)))
            self._outage = None
        # Report the end of the file immediately: the gate now waits for the response.
        due = self._closed or self._sent >= self._file.size or now - self._reported_at >= PROGRESS
        if due and self._sent != self._reported:
            self._reported, self._reported_at = self._sent, now
            self._events.put(UploadProgress(self._file, self._sent, now))


def _after_outage(failure: Failure, outage: Outage, now: float) -> Failure:
    """Return the failure that ended an outage, with the length of the outage."""
    attempts = count(outage.polls + 1, "attempt")
    return replace(failure, what=f"{failure.what} This went on for {seconds(now - outage.began)} ({attempts}).")


def refuse_known_scans(uploads: Iterable[Upload], targets: Iterable[Target]) -> Iterator[Upload]:
    """Yield the uploads, with a failure in place of each scan that is in `targets` or belongs to an earlier upload.

    If ThreadFix returns the same scan for two files, it has only one of them for certain.
    """
    known: set[Target | str] = set(targets)
    for upload in uploads:
        scans: list[Target | str] = [*upload.targets]
        if isinstance(upload.receipt, Finished):
            scans.append(f"scan {upload.receipt.scan_id}")
        shared = [scan for scan in scans if scan in known]
        known.update(scans)
        if not shared:
            yield upload
            continue
        what = f"ThreadFix returned {shared[0]}, which is not this file's: it was known before."
        yield upload._replace(receipt=_foreign_scan(f"{what} Whether ThreadFix has the file is not known."))


def refuse_older_scan(
    observe: Callable[[float], Observation], rules: Rules, began: float
) -> Callable[[float], Observation]:
    """Return `observe`, with a failure in place of a first reading that was final before the upload `began`."""
    is_first = True

    def checked(timeout: float) -> Observation:
        nonlocal is_first
        reading = observe(timeout)
        if isinstance(reading, Failure) or not is_first:
            return reading
        is_first = False
        what = f"ThreadFix returned a scan that was {reading.status} long before the upload: it is another upload's."
        return _foreign_scan(what) if rules.is_another_uploads(reading, time.monotonic() - began) else reading

    return checked


def _foreign_scan(what: str) -> Failure:
    return Failure(Reason.PROTOCOL, what, FailureKind.ANOTHER_UPLOAD, final=True)
