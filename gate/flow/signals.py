"""SIGINT and SIGTERM: a handler sets a flag and wakes the main thread. It raises nothing.

Python can lose an exception that a handler raises: in an `except`, in `__del__`, in an import. So the main thread waits
in one place only, `Signals.receive`, and everything that may block runs in other threads. This module has few imports,
because the handler is installed before slow imports.
"""

from __future__ import annotations

import _thread
import os
import signal
import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from typing import Any

    from gate.model.reasons import Cancelled

T = TypeVar("T")

TIME_TO_END: Final = 8.8  # seconds from the signal to the end, for outputs and reports; GitHub's runner kills after ten
TICK: Final = 0.25  # seconds between ticks: for the live line, and for Windows, which cannot interrupt a wait
NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """The first signal, and the only place for the main thread to wait."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the first signal; runners, shells and `make` send several
        self.exit_code: int | None = None  # that of the verdict; a later signal does not change it
        self._inbox: SimpleQueue[Any] | None = None

    def stop(self, number: int) -> None:
        """Set the flag and wake the main thread. A handler may call it: it needs no lock of the main thread."""
        self.number = self.number or number
        if self._inbox is not None:
            self._inbox.put(None)

    @property
    def cancelled(self) -> Cancelled | None:
        """The exception for the signal; None without a signal."""
        if self.number is None:
            return None
        from gate.model.reasons import Cancelled

        return Cancelled(self.number)

    def check(self) -> None:
        """Raise `Cancelled` if there was a signal."""
        if cancelled := self.cancelled:
            raise cancelled

    def receive(self, inbox: SimpleQueue[T]) -> T | None:
        """Return the next item, or None after a tick without an item. Only the main thread may call it.

        Raises:
            Cancelled: there was a signal.
        """
        from queue import Empty

        self._inbox = inbox
        self.check()
        try:
            return inbox.get(timeout=TICK)
        except Empty:
            return None

    def relay(
        self, inbox: SimpleQueue[Any], count: int, end: type, notify: Callable[[Any], None], tick: Callable[[], None]
    ) -> None:
        """Pass the events of other threads to `notify`, until `count` of them are an `end` or a signal comes.

        `tick` is called while no event comes. The caller checks for the signal. Only the main thread may call it.

        Raises:
            BaseException: a bug in another thread.
        """
        from gate.model.events import Broken
        from gate.model.reasons import Cancelled

        try:
            while count:
                event = self.receive(inbox)
                if event is None:
                    tick()
                elif isinstance(event, Broken):
                    raise event.error
                else:
                    notify(event)
                    count -= isinstance(event, end)
        except Cancelled:
            return

    def call(self, work: Callable[[], T]) -> T:
        """Call `work` in a new thread, and return its result. Only the main thread may call it.

        Raises:
            Cancelled: there was a signal before `work` returned. The thread is abandoned.
            OutOfThreadsError: no thread could be started.
            BaseException: `work` raised it.
        """
        from queue import SimpleQueue

        from gate.net import start_thread

        inbox: SimpleQueue[Callable[[], T]] = SimpleQueue()

        def run() -> None:
            try:
                done = work()
            except BaseException as error:  # noqa: BLE001 - carried to the main thread, which raises it
                inbox.put(_raising(error))
            else:
                inbox.put(lambda: done)

        start_thread(run)
        while (result := self.receive(inbox)) is None:
            pass
        return result()

    def end(self, exit_code: int) -> int:
        """Return the signal's exit code instead of `exit_code`, unless there is no signal or a verdict."""
        if self.number is None:
            return exit_code
        return 128 + self.number if self.exit_code is None else self.exit_code

    def end_late(self) -> None:  # pragma: no cover - it ends the process
        """End the process when its time after a signal is over."""
        time.sleep(TIME_TO_END)
        os._exit(self.end(1))


def _raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


def install() -> Signals:
    """Handle both signals for the rest of the process, even if its parent blocked them.

    The default is not enough: Python ignores SIGTERM as the first process of a container.
    """
    signals = Signals()

    def handle(number: int, _frame: object) -> None:
        if signals.number is None:
            signals.stop(number)
            try:
                _thread.start_new_thread(signals.end_late, ())
            except RuntimeError:  # pragma: no cover - no thread can be started
                # There is no limit for the reports then.
                return

    for number in NUMBERS:
        signal.signal(number, handle)
    # A blocked signal is delivered now.
    unblock = getattr(signal, "pthread_sigmask", lambda *_: None)
    unblock(getattr(signal, "SIG_UNBLOCK", None), NUMBERS)
    return signals
