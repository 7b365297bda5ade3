"""Write to standard output and standard error in the background, so that a slow reader delays nothing.

A full pipe blocks its writer. The wait, its deadlines and the reports must not depend on that, so only a thread
waits for a reader.
"""

from __future__ import annotations

import errno
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing import TextIO

PATIENCE: Final = 1.0  # seconds that a reader has at the end to take more
_TURNS: Final = 50  # in which the patience ends; after a pause of this process, most are left for the writing thread
_PIECE: Final = 4096  # bytes of a single write: Linux passes this many on in one piece
_RETRY: Final = 0.02  # seconds after which a full non-blocking pipe is tried again


class BackgroundStream:
    """Writes to a text stream in order, and never lets the caller wait. Safe in several threads.

    It writes below Python's own buffer, whose lock the end of the process needs for a flush. If the stream has no
    buffer (a program has replaced it), or no thread can be started, the caller writes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.error: OSError | None = None  # the newest
        self._stream = stream
        buffer = getattr(stream, "buffer", None)
        self._raw: Any = getattr(buffer, "raw", buffer)
        self._waiting: queue.SimpleQueue[str | queue.SimpleQueue[None] | None] = queue.SimpleQueue()
        self._taken = 0
        if self._raw is not None:
            try:
                threading.Thread(target=self._work, daemon=True).start()
            except RuntimeError:
                self._raw = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - `isatty`, `fileno`, `encoding`
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Queue `text` for writing."""
        if self._raw is None:
            self._stream.write(text)
            self._stream.flush()
        else:
            self._waiting.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is on its way already."""

    def drain(self) -> bool:
        """Wait until everything is written, as long as a reader makes progress; return whether it is."""
        if self._raw is None:
            return True
        # No event: a signal's handler may raise while its lock is held.
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waiting.put(done)
        left, taken = _TURNS, self._taken
        while left:
            with suppress(queue.Empty):
                done.get(timeout=PATIENCE / _TURNS)
                return True
            left, taken = left - 1 if taken == self._taken else _TURNS, self._taken
        return False

    def close(self) -> bool:
        """Write the rest, as long as a reader makes progress; return whether it is written. The stream stays open."""
        written = self.drain()
        self._waiting.put(None)
        return written

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if not isinstance(item, str):
                item.put(None)
                continue
            try:
                self._put(item)
            except (OSError, ValueError) as error:
                # The stream is unread or full. That must not change the verdict.
                self.error = error if isinstance(error, OSError) else OSError(0, "the stream is closed")

    def _put(self, text: str) -> None:
        encoded = text.replace("\n", os.linesep).encode(self._stream.encoding or "utf-8", "backslashreplace")
        left = memoryview(encoded)
        while left:
            taken = self._raw.write(left[:_PIECE])
            if taken is None:
                time.sleep(_RETRY)
                continue
            left = left[taken:]
            self._taken += taken


def print_whole(text: str) -> None:
    """Write `text` to standard output as long as a reader makes progress; raise `OSError` if not all is written."""
    stream = BackgroundStream(sys.stdout)
    stream.write(text)
    if not stream.close():
        raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
    if stream.error:
        raise stream.error
