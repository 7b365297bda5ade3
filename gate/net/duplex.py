"""Sends a long request while listening for the response.

A server may respond before it has the whole request, and then stop reading. If it only stops reading, a sender that
does not listen waits for ever. If it closes the connection, the sender's system discards the response.
"""

from __future__ import annotations

import errno
import io
import re
import selectors
import ssl
from typing import TYPE_CHECKING, Final

from gate.net.failures import WOULD_BLOCK
from gate.net.framing import PIECE

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

STATUS_LINE: Final = len(b"HTTP/1.1 103 ")  # bytes that distinguish a final response from an interim response
INTERIM_LIMIT: Final = 64 * 1024  # bytes of the longest interim response
_INTERIM: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d")
_INTERIM_WHOLE: Final = re.compile(rb"HTTP/1\.\d 1(?!01)\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")


class Duplex:
    """A connection, plain or TLS, that sends and receives at the same time. To end the sending, shut it down."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()
        # `poll` needs no file descriptor; not every system has it.
        self._selector = getattr(selectors, "PollSelector", selectors.SelectSelector)()
        self._selector.register(connection, selectors.EVENT_READ)
        connection.settimeout(0)

    def send(self, data: bytes) -> None:
        """Send all of `data`. A broken pipe means that there may be a response to read."""
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

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file of the whole response: the received bytes, then the rest. `http.client` calls it."""
        rest = self._connection.makefile(mode)  # type: ignore[call-overload]  # the one mode that there is
        return io.BufferedReader(_Joined(bytes(self._received), rest)) if self._received else rest

    def _wait(self, events: int, seconds: float | None) -> int:
        """Wait for any of `events`, and return the events that are possible."""
        self._selector.modify(self._connection, events)
        return next((ready for _, ready in self._selector.select(seconds)), 0)

    def _receive(self) -> None:
        """Receive without waiting. The pipe breaks if a response has begun, or the connection was closed."""
        try:
            piece = self._connection.recv(PIECE)
        except WOULD_BLOCK:
            # The bytes belong to TLS, such as the tickets after its handshake.
            return
        except OSError as error:
            raise BrokenPipeError(errno.EPIPE, "the connection broke") from error
        self._received += piece
        while interim := _INTERIM_WHOLE.match(self._received):
            del self._received[: interim.end()]
        is_final = len(self._received) >= STATUS_LINE and not _INTERIM.match(self._received)
        if not piece or is_final or len(self._received) > INTERIM_LIMIT:
            raise BrokenPipeError(errno.EPIPE, "the server did not wait for the rest")


class _Joined(io.RawIOBase):
    """A file that begins with some bytes, and continues with another file."""

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
