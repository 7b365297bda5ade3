"""SIGINT and SIGTERM: they end the gate at once, and leave it a moment for its last words.

Imports next to nothing: the handler is to be there before anything that takes time is.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

LAST_WORDS: Final = 1.8
"""Seconds that a stopped gate has for its outputs and reports before it goes without the rest of them."""
STALLED: Final = 5.0
"""Seconds that it has where even the first of them is not written yet, on a machine that is very slow."""
POSTPONED: Final = 0.01
"""Seconds after which a signal is handled again whose exception was lost."""
NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """The handler: keeps a signal until somebody listens, then raises `Cancelled`; sees to it that the process ends.

    It must be set even where the default would do: as the first process of a container, Python ignores SIGTERM.
    """

    def __init__(self) -> None:
        """Keep what comes; nobody listens yet."""
        self._main = _thread.get_ident()
        self._listening = False
        self._listened = False
        self._caught = 0
        self._postponed = False
        self._written = False
        self._code: int | None = None

    def __call__(self, number: int, _frame: object) -> None:
        """Handle a signal. Only the first one counts: runners, shells and `make` all send several."""
        if self._caught and not self._postponed:
            return
        if not self._caught:
            self._bound(number)
        if self._listening:
            self._postponed = False
            self._cancel()

    def _bound(self, number: int) -> None:
        """Keep the signal, and see to it that the process ends."""
        self._caught = number
        try:
            _thread.start_new_thread(self._end_late, (os._exit,))
        except RuntimeError:  # pragma: no cover - where no thread is to be had
            # Then the last words are not bounded; better late than killed in the middle.
            self._code = None

    def unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        """Handle the signal again where Python had to ignore `Cancelled`: in `__del__`, or as an import cleans up."""
        if self._listening and lost.exc_type.__name__ == "Cancelled":
            self._postponed = True
            _thread.start_new_thread(self._again, (self._caught,))
        else:
            sys.__unraisablehook__(lost)

    def _again(self, number: int) -> None:  # pragma: no cover - in a thread that no tracer sees
        """Have the handler called once more, a moment later and somewhere else."""
        time.sleep(POSTPONED)
        # By a signal to that very thread: what only sets Python's flag would not wake one that waits for a lock.
        send = getattr(signal, "pthread_kill", lambda _, number: _thread.interrupt_main(number))
        send(self._main, signal.Signals(number))

    def listen(self) -> None:
        """Have a signal raise `Cancelled` in the main thread from here on.

        Raises:
            Cancelled: one came before.
        """
        self._listened = self._listening = True
        if self._caught:
            self._cancel()

    def decided(self, exit_code: int | None = None) -> None:
        """From here on a signal only bounds how long the rest may take; `exit_code` is how it will end all the same."""
        self._listening = False
        self._code = exit_code

    def written(self) -> None:
        """The first of the outputs and reports is written; the others must not hold the process up for long."""
        self._written = True

    def exit_code(self, code: int) -> int:
        """How the process is to end that would end with `code`: a signal that nobody listened to is not lost."""
        return 128 + self._caught if self._caught and not self._listened else code

    def close(self, exit_code: int) -> None:
        """Ignore both signals: how the process ends is settled, and Python's own end would let them kill it."""
        self._code = exit_code
        for number in NUMBERS:
            signal.signal(number, signal.SIG_IGN)

    def _cancel(self) -> None:
        from gate.errors import Cancelled

        raise Cancelled(self._caught)

    def _end_late(self, end: Callable[[int], Any]) -> None:  # pragma: no cover - it ends the process
        time.sleep(LAST_WORDS)
        if not self._written:
            time.sleep(STALLED - LAST_WORDS)
        end(128 + self._caught if self._code is None else self._code)


def install() -> Signals:
    """Handle both signals for the rest of the process, also where whoever started it had them blocked."""
    handler = Signals()
    for number in NUMBERS:
        signal.signal(number, handler)
    sys.unraisablehook = handler.unraisable
    # A signal that came while they were blocked comes now.
    unblock = getattr(signal, "pthread_sigmask", lambda *_: None)
    unblock(getattr(signal, "SIG_UNBLOCK", None), NUMBERS)
    return handler


class handled:  # noqa: N801 - used as a function is
    """Handle both signals while the block runs, with the process's own handler where it has one.

    Outside the main thread, where Python allows no handler, nothing is handled.
    """

    def __enter__(self) -> Signals:
        installed = signal.getsignal(signal.SIGTERM)
        self._before: dict[signal.Signals, Any] = {}
        if isinstance(installed, Signals):
            return installed
        handler = Signals()
        import threading

        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, handler) for number in NUMBERS}
        return handler

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
