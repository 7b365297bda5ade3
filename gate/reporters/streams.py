"""Standard output and standard error, written to in the background, so that a slow reader delays nothing.

A full pipe blocks its writer. The wait, its deadlines and the reports must not depend on that, so only a thread of its
own ever waits for a reader.
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

PATIENCE: Final = 1.0
"""Seconds that a reader has at the end to take something more."""
_LOOK: Final = 0.25
"""Seconds between two looks at whether it does."""
_PIECE: Final = 4096
"""Bytes of a single write: Linux passes this many on in one piece."""
_RETRY: Final = 0.02
"""Seconds after which a pipe that must not block is tried again."""


class BackgroundStream:
    """Writes to a stream in order, and never lets the caller wait.

    It writes below Python's own buffer, whose lock the end of the process needs for a flush. If the stream has no
    buffer (a program has put its own in place), or no thread can be started, the caller writes.

    Args:
        stream: a text stream.

    Attributes:
        error: the last error of writing; None without an error.
    """

    def __init__(self, stream: TextIO) -> None:
        """Start the thread that writes."""
        self.error: OSError | None = None
        self._stream = stream
        buffer = getattr(stream, "buffer", None)
        self._raw: Any = getattr(buffer, "raw", buffer)
        self._waiting: queue.SimpleQueue[str | queue.SimpleQueue[None] | None] = queue.SimpleQueue()
        self._taken = 0
        self._direct = self._raw is None
        if not self._direct:
            try:
                threading.Thread(target=self._work, daemon=True).start()
            except RuntimeError:
                self._direct = True

    def write(self, text: str) -> int:
        """Have `text` written. Safe in several threads."""
        if self._direct:
            self._stream.write(text)
            self._stream.flush()
        else:
            self._waiting.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is on its way already."""

    def drain(self) -> bool:
        """Wait until everything is written, as long as a reader makes progress; return whether it is."""
        if self._direct:
            return True
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waiting.put(done)
        taken, since = self._taken, time.monotonic()
        while time.monotonic() - since < PATIENCE:
            with suppress(queue.Empty):
                done.get(timeout=_LOOK)
                return True
            if taken != self._taken:
                taken, since = self._taken, time.monotonic()
        return False

    def close(self) -> bool:
        """Write the rest, as long as a reader makes progress; return whether it is written. The stream stays open."""
        written = self.drain()
        self._waiting.put(None)
        return written

    def isatty(self) -> bool:
        """Whether a person watches."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's handle."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return self._stream.encoding

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
                # The pipe was made non-blocking, and it is full.
                time.sleep(_RETRY)
                continue
            left = left[taken:]
            self._taken += taken


def print_whole(text: str) -> None:
    """Write `text` to standard output, and wait as long as a reader makes progress.

    Raises:
        OSError: it was not written whole.
    """
    stream = BackgroundStream(sys.stdout)
    stream.write(text)
    if not stream.close():
        raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
    if stream.error:
        raise stream.error
