"""SIGINT and SIGTERM: they end the wait at once, and leave the gate a moment for its last words."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from gate.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_WORDS: Final = 1.8
"""Seconds that a stopped gate has for its outputs and reports before it goes without them."""


class Signals:
    """The handler: raises `Cancelled` in the main thread while `listening`, and sees to it that the process ends.

    It must be set even where the default would do: as the first process of a container, Python ignores SIGTERM.
    """

    def __init__(self) -> None:
        """Listen."""
        self.listening = True
        self._caught = False

    def __call__(self, number: int, _frame: object) -> None:
        """Handle a signal. Only the first one counts: runners, shells and `make` all send several."""
        if self._caught:
            return
        self._caught = True
        watchdog = threading.Timer(LAST_WORDS, os._exit, args=(128 + number,))
        watchdog.daemon = True
        watchdog.start()
        if self.listening:
            raise Cancelled(number)


@contextmanager
def handled() -> Iterator[Signals]:
    """Handle both signals while the block runs; outside the main thread, where Python allows none, do nothing."""
    handler = Signals()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield handler
    finally:
        for number, old in before.items():
            signal.signal(number, old)
