"""Sends a long request while listening: a server may respond before it has all of it, and then read no more.

Its response must not be left unread meanwhile. One that stops reading would let the sending wait for ever, and one that
closes its end makes the other's system throw away what was received and not read yet.
"""

from __future__ import annotations

import errno
import io
import re
import selectors
import ssl
from typing import TYPE_CHECKING, Final

from gate.connections import WOULD_BLOCK
from gate.framing import PIECE

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

STATUS_LINE: Final = len(b"HTTP/1.1 103 ")
"""Bytes after which a final response can be told from an interim one."""
INTERIM_LIMIT: Final = 64 * 1024
"""Bytes of an interim response that is still one."""
_INTERIM: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d")
_INTERIM_WHOLE: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")


class Duplex:
    """One connection, plain or TLS, that is sent and received on at the same time.

    Args:
        connection: connected; from here on it does not block. Whoever wants it to end shuts it down.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Nothing is sent yet."""
        self._connection = connection
        self._received = bytearray()
        # Without a file descriptor of its own, where the system has such a one.
        self._selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
        self._selector.register(connection, selectors.EVENT_READ)
        connection.settimeout(0)

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            BrokenPipeError: the server has responded, or has closed the connection; there may be a response to read.
        """
        if self._wait(selectors.EVENT_READ, 0):
            self._receive()
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except WOULD_BLOCK as error:
                # TLS may have to read before it can write.
                reads_only = isinstance(error, ssl.SSLWantReadError)
                events = selectors.EVENT_READ | (0 if reads_only else selectors.EVENT_WRITE)
                if self._wait(events, None) & selectors.EVENT_READ:
                    self._receive()
            except OSError as error:
                raise BrokenPipeError(errno.EPIPE, "the connection broke") from error

    def replay(self) -> _Replay:
        """Whence the response is to be read: first what was received during the sending, then the rest."""
        return _Replay(bytes(self._received), self._connection)

    def _wait(self, events: int, seconds: float | None) -> int:
        """Wait until one of `events` may happen; which ones may."""
        self._selector.modify(self._connection, events)
        return next((ready for _, ready in self._selector.select(seconds)), 0)

    def _receive(self) -> None:
        """Take what has come, without waiting for more.

        Raises:
            BrokenPipeError: a response has begun, or the connection was closed.
        """
        try:
            piece = self._connection.recv(PIECE)
        except WOULD_BLOCK:
            # What came was TLS's own, such as the tickets behind its handshake.
            return
        except OSError as error:
            raise BrokenPipeError(errno.EPIPE, "the connection broke") from error
        self._received += piece
        while interim := _INTERIM_WHOLE.match(self._received):
            del self._received[: interim.end()]
        if not piece or self._is_final():
            raise BrokenPipeError(errno.EPIPE, "the server did not wait for the rest")

    def _is_final(self) -> bool:
        received = self._received
        if len(received) < STATUS_LINE:
            return False
        return len(received) > INTERIM_LIMIT or not _INTERIM.match(received)


class _Replay:
    """What `http.client` takes for the socket of a response."""

    def __init__(self, received: bytes, connection: socket.socket) -> None:
        self._received = received
        self._connection = connection

    def makefile(self, mode: str) -> io.BufferedReader:
        """A file that reads all of the response."""
        rest = self._connection.makefile(mode)  # type: ignore[call-overload]  # the one mode that there is
        return io.BufferedReader(_Joined(self._received, rest)) if self._received else rest


class _Joined(io.RawIOBase):
    """Some bytes, and behind them a file."""

    def __init__(self, first: bytes, rest: io.BufferedReader) -> None:
        self._first = memoryview(first)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._first:
            return self._rest.readinto1(buffer)
        view = memoryview(buffer).cast("B")
        length = min(len(view), len(self._first))
        view[:length] = self._first[:length]
        self._first = self._first[length:]
        return length

    def close(self) -> None:
        self._rest.close()
        super().close()
