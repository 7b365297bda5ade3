"""Uploads files in their order. A file that may have left this machine is never sent again. Knows no ThreadFix.

One thread sends; the calling thread receives its events, and stops it after a signal. Which file is under way, and
whether the next may begin, is only changed under one lock, so that none begins after the gate was stopped.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gate.flow import threads
from gate.flow.waiting import cadence
from gate.model.errors import Cancelled
from gate.model.events import Broken, OutageBegan, OutageEnded, UploadBegan, UploadEnded, UploadProgress
from gate.model.history import BrokenOff, Failure, NotSent, Outage, Upload
from gate.text.wording import count, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate.flow.signals import Signals
    from gate.model.events import UploadEvent
    from gate.model.history import Receipt
    from gate.model.subjects import ScanFile
    from gate.options.settings import Plan

    Events = queue.SimpleQueue[UploadEvent | Broken]

PROGRESS: Final = 0.1
"""Seconds between two reports of the progress, at least; the last one always comes."""


def upload_all(  # noqa: PLR0913 - what to do, and on which terms
    files: Sequence[ScanFile],
    send: Callable[[ScanFile, Callable[[int], None]], Receipt],
    *,
    plan: Plan,
    jitter: Callable[[], float],
    signals: Signals,
    notify: Callable[[UploadEvent], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], bool] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Upload, ...]:
    """Upload the files one after the other.

    Args:
        files: in their order.
        send: makes one attempt for a file, and reports how many bytes are sent; its receipt is a failure that is
            `unsent` if nothing of the request has left this machine. Called in another thread.
        plan: how long, how often.
        jitter: draws a number in [-1, 1].
        signals: the signal that stops the gate.
        notify: called with every event in the calling thread.
        clock: returns seconds on a monotonic clock.
        sleep: takes seconds; returns whether the gate is stopped. The default wakes up then.
        tick: called in the calling thread several times a second while nothing happens, for the live line.

    Returns:
        The result of each file, in their order.

    Raises:
        OutOfThreadsError: nothing could be started, and nothing was sent.
        BaseException: a bug.
    """
    stop = threading.Event()
    uploads = _Uploads(files, send, plan, jitter, clock, sleep or stop.wait)
    try:
        threads.start(uploads.work, "uploads")
        left = len(files)
        while left:
            event = signals.receive(uploads.events)
            if event is None:
                tick()
                continue
            if isinstance(event, Broken):
                raise event.error
            notify(event)
            left -= isinstance(event, UploadEnded)
    except Cancelled:
        # The caller asks `signals`; the receipts show which files were not sent, or not to their end.
        pass
    finally:
        uploads.stop()
        stop.set()
    return uploads.receipts()


class _Uploads:
    """The uploads of one gate; the fields are the arguments of `upload_all`.

    Attributes:
        events: what happened.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what to do, and on which terms
        self,
        files: Sequence[ScanFile],
        send: Callable[[ScanFile, Callable[[int], None]], Receipt],
        plan: Plan,
        jitter: Callable[[], float],
        clock: Callable[[], float],
        sleep: Callable[[float], bool],
    ) -> None:
        """Nothing is sent yet."""
        self.events: Events = queue.SimpleQueue()
        self._files = files
        self._send = send
        self._plan = plan
        self._jitter = jitter
        self._clock = clock
        self._sleep = sleep
        # The rest is changed under the lock.
        self._lock = threading.Lock()
        self._over: list[Upload] = []
        self._began = 0.0
        self._sending = False
        self._stopped = False

    def work(self) -> None:
        """Upload one file after the other, in the thread that sends."""
        try:
            while len(self._over) < len(self._files) and not self._stopped:
                self._upload(self._files[len(self._over)])
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            self.events.put(Broken(error))

    def stop(self) -> None:
        """Let no file and no attempt begin any more, without waiting for the current attempt."""
        with self._lock:
            self._stopped = True

    def receipts(self) -> tuple[Upload, ...]:
        """Return the result of each file. Only after `stop`."""
        with self._lock:
            over = tuple(self._over)
            if len(over) == len(self._files):
                return over
            if self._sending:
                over += (Upload(self._files[len(over)], BrokenOff(), self._clock() - self._began),)
        return over + tuple(Upload(file, NotSent()) for file in self._files[len(over) :])

    def _upload(self, file: ScanFile) -> None:
        """Upload one file: try until it is sent, refused, or cannot even be sent for too long."""
        self._began = self._clock()
        self.events.put(UploadBegan(file, len(self._over) + 1, len(self._files)))
        outage: Outage | None = None
        at_limit = False
        while (receipt := self._attempt(file, outage)) is not None:
            if not isinstance(receipt, Failure) or not receipt.unsent or receipt.final or at_limit:
                if outage and isinstance(receipt, Failure) and receipt.unsent:
                    receipt = _after_outage(receipt, outage, self._now())
                self._end(Upload(file, receipt, self._now(), self._began))
                return
            now = self._now()
            if outage is None:
                outage = Outage(now, receipt)
                self.events.put(OutageBegan(file, now, receipt, self._plan.first_contact_limit, first_contact=True))
            else:
                outage = replace(outage, newest=receipt, polls=outage.polls + 1)
            limit = outage.began + self._plan.first_contact_limit
            pause = max(cadence(now, self._plan, self._jitter()), receipt.retry_after or 0.0)
            at_limit = now + pause >= limit
            if self._sleep(min(pause, max(0.0, limit - now))):
                return

    def _attempt(self, file: ScanFile, outage: Outage | None) -> Receipt | None:
        """Send a file once; return None if the gate was stopped before."""
        with self._lock:
            if self._stopped:
                return None
            self._sending = True
        meter = _Meter(file, outage, self._began, self._clock, self.events)
        receipt = self._send(file, meter)
        sent = not (isinstance(receipt, Failure) and receipt.unsent)
        meter.close(sent=sent)
        with self._lock:
            self._sending = sent
        return receipt

    def _end(self, upload: Upload) -> None:
        """Keep the result of a file."""
        with self._lock:
            if not self._stopped:
                self._sending = False
                self._over.append(upload)
                self.events.put(UploadEnded(upload))

    def _now(self) -> float:
        return self._clock() - self._began


class _Meter:
    """Reports the progress of one attempt, and that it is connected after an outage; safe to call from any thread."""

    def __init__(
        self, file: ScanFile, outage: Outage | None, began: float, clock: Callable[[], float], events: Events
    ) -> None:
        """Nothing is sent yet."""
        self._file = file
        self._outage = outage
        self._began = began
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._closed = False
        self._sent = self._reported = 0
        self._reported_at = -PROGRESS

    def __call__(self, sent: int) -> None:
        """Report the bytes sent so far, unless the attempt was given up."""
        with self._lock:
            if not self._closed:
                self._sent = sent
                self._report()

    def close(self, *, sent: bool) -> None:
        """End the attempt; `sent` is whether anything may have left this machine."""
        with self._lock:
            self._closed = True
            if sent:
                self._report()

    def _report(self) -> None:
        now = self._clock() - self._began
        if self._outage:
            self._events.put(OutageEnded(self._file, now, replace(self._outage, ended=now)))
            self._outage = None
        # The end of the file is reported immediately: then the gate waits for the response.
        due = self._closed or self._sent >= self._file.size or now - self._reported_at >= PROGRESS
        if due and self._sent != self._reported:
            self._reported, self._reported_at = self._sent, now
            self._events.put(UploadProgress(self._file, self._sent, now))


def _after_outage(failure: Failure, outage: Outage, now: float) -> Failure:
    """Return a failure with the length of the outage that it ended."""
    attempts = count(outage.polls + 1, "attempt")
    return replace(failure, what=f"{failure.what} This went on for {seconds(now - outage.began)} ({attempts}).")
