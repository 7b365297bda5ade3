"""Reads HTTP/1 strictly: a response that breaks a rule may have lost headers or a part of its body."""

from __future__ import annotations

import http.client
import io
import re
import zlib
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_LIMIT: Final = 128 * 1024  # bytes of a status line with its headers; servers allow 8 to 64 KiB
MOST_CHUNKS: Final = 100_000  # of a body: 64 MiB in pieces of 700 bytes; smaller chunks would only take time
PIECE: Final = 64 * 1024  # bytes that are read together
LARGE_PIECE: Final = 1024 * 1024  # bytes of a body that are received, or decompressed, together
_CHUNK_LINE: Final = 4096  # bytes of a chunk's size with its extensions
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r?\n")
_HEADER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r?\n")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r?\n")
_ENDS: Final = (b"\r\n", b"\n")
_HTTP_DATE: Final = re.compile(
    r"([A-Z]{3}, )?[0-9]{1,2} [A-Z]{3} [0-9]{4} [0-9:]{8}( (GMT|UTC|UT|[+-][0-9]{4}))?"
    r"|[A-Z]{6,9}, [0-9]{2}-[A-Z]{3}-[0-9]{2} [0-9:]{8}( GMT)?"
    r"|[A-Z]{3} [A-Z]{3} [ 0-9][0-9] [0-9:]{8} [0-9]{4}",
    re.ASCII | re.IGNORECASE,
)
"""The three forms of RFC 9110, also with a numeric zone or without one. A name such as `EST` means different zones."""
_FORMATS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # the format for `zlib` by content coding


class MalformedError(http.client.HTTPException):
    """A response that breaks a rule of HTTP. Its text completes the sentence "the response ..."."""


def read_head(source: io.BufferedReader) -> bytes:
    """Return the status line and the headers of the final response, without the interim responses before it.

    Raises:
        MalformedError: the head breaks a rule.
        RemoteDisconnected: the connection ends before the head.
    """
    while True:
        line = _read_line(source)
        match = _STATUS_LINE.fullmatch(line)
        if not match:
            raise MalformedError("does not begin with a status line")
        headers = _read_headers(source)
        status = int(match[1])
        if status >= http.client.OK or status == http.client.SWITCHING_PROTOCOLS:
            return line + headers


def _read_headers(source: io.BufferedReader) -> bytes:
    """Return the lines up to the empty line, which is included."""
    headers = bytearray()
    while True:
        line = _read_line(source)
        headers += line
        if line in _ENDS:
            return bytes(headers)
        if not _HEADER.fullmatch(line):
            raise MalformedError("has a line among its headers that is not a header")
        if len(headers) > HEAD_LIMIT:
            raise MalformedError("has too many headers")


def _read_line(source: io.BufferedReader) -> bytes:
    line = source.readline(HEAD_LIMIT)
    if not line.endswith(b"\n") and len(line) < HEAD_LIMIT:
        raise http.client.RemoteDisconnected("the connection ends before the head")
    return line


def is_chunked(headers: http.client.HTTPMessage) -> bool:
    """Return whether the body comes in chunks. If its end is not defined without a doubt, the response is malformed."""
    encodings = headers.get_all("Transfer-Encoding", [])
    lengths = headers.get_all("Content-Length", [])
    if not encodings and (not lengths or (len(lengths) == 1 and _LENGTH.fullmatch(lengths[0].strip(" \t")))):
        return False
    if not lengths and [encoding.strip(" \t").lower() for encoding in encodings] == ["chunked"]:
        return True
    raise MalformedError("does not define its length, or defines it twice")


def dechunked(source: io.BufferedReader) -> io.BufferedReader:
    """Return the content of a body that comes in chunks."""
    return io.BufferedReader(_Chunks(source), PIECE)


class _Chunks(io.RawIOBase):
    """Each read returns at most one chunk."""

    def __init__(self, source: io.BufferedReader) -> None:
        self._source = source
        self._left: int | None = 0
        self._number = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._left == 0:
            match = _CHUNK.fullmatch(self._source.readline(_CHUNK_LINE))
            if not match:
                raise MalformedError("has a chunk without a size")
            self._number += 1
            if self._number > MOST_CHUNKS:
                raise MalformedError("has too many chunks")
            self._left = int(match[1], 16)
            if not self._left:
                _read_headers(self._source)
                self._left = None
        if self._left is None:
            return 0
        piece = memoryview(buffer).cast("B")[: self._left]
        length = self._source.readinto(piece)
        self._left -= length
        if length < len(piece) or (not self._left and self._source.readline(len(_ENDS[0])) not in _ENDS):
            raise MalformedError("has a chunk without an end")
        return length

    def close(self) -> None:
        self._source.close()
        super().close()


def decompress(body: bytearray, coding: str, limit: int) -> bytearray:
    """Return the content of a body, but no more than one byte beyond the limit. `coding` is its `Content-Encoding`."""
    coding = coding.strip(" \t").lower()
    if not body or coding in {"", "identity"}:
        return body
    try:
        decoder = zlib.decompressobj(_FORMATS[coding])
        content, rest = bytearray(), bytes(body)
        while len(content) <= limit and (piece := decoder.decompress(rest, min(LARGE_PIECE, limit + 1 - len(content)))):
            content += piece
            rest = decoder.unconsumed_tail
    except (KeyError, zlib.error) as error:
        raise MalformedError("has a body that cannot be decompressed") from error
    if len(content) <= limit and (not decoder.eof or decoder.unused_data):
        raise MalformedError("has a body that cannot be decompressed")
    return content


def date(value: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch; without a zone it is GMT. None if it is not valid."""
    parsed = parsedate_tz(value) if value and _HTTP_DATE.fullmatch(value.strip(" \t")) else None
    if not parsed:
        return None
    try:
        return datetime(*parsed[:6], tzinfo=timezone(timedelta(seconds=parsed[9] or 0))).timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a `Retry-After` header: a number, or the time from `now` to a date. None if malformed."""
    if value and re.fullmatch("[ \t]*[0-9]{1,9}[ \t]*", value):
        return float(value)
    until = date(value)
    return None if until is None else max(0.0, until - now)
