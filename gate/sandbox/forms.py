"""Parses URL-encoded and multipart forms. A file is hashed while it arrives; only its beginning is kept."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHUNK: Final = 256 * 1024
"""Bytes to read at a time."""
HEAD: Final = 64 * 1024
"""Bytes to keep from the beginning of a file or a field, and the maximum length of a line."""

_PARAMETER: Final = re.compile(r""";\s*([\w*-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]*))""", re.DOTALL)


class MalformedError(ValueError):
    """The body is not a valid form."""


class LostConnectionError(ConnectionError):
    """The client closed the connection before the request was complete."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that was uploaded.

    Attributes:
        field: the name of the form field.
        name: the file name.
        size: the size in bytes.
        sha256: the hash of the content, in hexadecimal digits.
        head: the first 64 KiB of the content.
    """

    field: str
    name: str
    size: int
    sha256: str
    head: bytes = b""

    @property
    def whole(self) -> bool:
        """Whether `head` is the whole file."""
        return self.size == len(self.head)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form by name, and its files in the order of the form."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)


def boundary(content_type: str) -> bytes | None:
    """Return the boundary from the `Content-Type` of a multipart form; None for any other type."""
    kind, _, _ = content_type.partition(";")
    value = _parameters(content_type).get("boundary")
    return value.encode("latin-1", "replace") if kind.strip().lower() == "multipart/form-data" and value else None


def urlencoded(text: str) -> dict[str, str]:
    """Return the fields of a query or a URL-encoded form. The first of several fields with one name counts."""
    return dict(reversed(parse_qsl(text, keep_blank_values=True)))


def multipart(read: Callable[[int], bytes], boundary: bytes) -> Form:
    """Parse the multipart form that `read` returns piece by piece.

    Args:
        read: returns up to the given number of bytes; empty at the end.
        boundary: the boundary from the `Content-Type`.

    Raises:
        MalformedError: the form is malformed.
        BaseException: `read` raised it.
    """
    stream = _Stream(read)
    form = Form()
    delimiter = b"\r\n--" + boundary
    for _ in stream.until(delimiter):
        pass  # The preamble has no meaning.
    while not stream.starts_with(b"--"):
        stream.skip_line()
        _part(stream, delimiter, form)
    while stream.more():
        pass
    return form


def _part(stream: _Stream, delimiter: bytes, form: Form) -> None:
    headers = _headers(stream)
    disposition = headers.get("content-disposition", "")
    parameters = _parameters(disposition)
    name = parameters.get("name")
    if name is None or not disposition.lower().startswith("form-data"):
        raise MalformedError("a part has no name")
    file_name = parameters.get("filename")
    digest, size, head = hashlib.sha256(), 0, b""
    for piece in stream.until(delimiter):
        digest.update(piece)
        size += len(piece)
        head += piece[: HEAD - len(head)]
    if file_name is None:
        form.fields.setdefault(name, head.decode("utf-8", "replace"))
    else:
        form.files.append(ReceivedFile(name, file_name, size, digest.hexdigest(), head))


def _headers(stream: _Stream) -> Mapping[str, str]:
    """Return the headers of a part by name in lower case, with continuation lines joined."""
    lines: list[str] = []
    while line := stream.line():
        text = line.decode("utf-8", "replace")
        if text[0] in " \t" and lines:
            lines[-1] += text
        else:
            lines.append(text)
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header by name in lower case. `filename*` is not decoded: the gate never sends it."""
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(header):
        # Any other backslash is literal: some clients do not escape the backslashes of Windows paths.
        value = re.sub(r'\\(["\\])', r"\1", quoted) or bare
        parameters.setdefault(name.lower(), value)
    return parameters


class _Stream:
    """A buffered byte stream. It starts with a line break, so that the first boundary also follows a line break."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b"\r\n"

    def more(self) -> bool:
        """Replace the buffer with the next piece; return False at the end of the stream."""
        piece = self._read(CHUNK)
        self._buffer = piece
        return bool(piece)

    def until(self, mark: bytes) -> Iterator[bytes]:
        """Yield the bytes before `mark` piece by piece, then skip the mark.

        Raises:
            MalformedError: the stream ends before the mark.
        """
        while (at := self._buffer.find(mark)) < 0:
            # The buffer may end with the beginning of the mark.
            sure = max(0, len(self._buffer) - len(mark) + 1)
            if sure:
                yield self._buffer[:sure]
            self._fill(self._buffer[sure:])
        piece, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        if piece:
            yield piece

    def starts_with(self, text: bytes) -> bool:
        """Return whether the stream continues with `text`."""
        while len(self._buffer) < len(text):
            self._fill(self._buffer)
        return self._buffer.startswith(text)

    def line(self) -> bytes:
        """Return the next line without its line break."""
        line = b""
        for piece in self.until(b"\r\n"):
            line += piece
            if len(line) > HEAD:
                raise MalformedError("a line is too long")
        return line

    def skip_line(self) -> None:
        """Skip the rest of a boundary line, which may contain only blanks."""
        if self.line().strip(b" \t"):
            raise MalformedError("something follows a boundary")

    def _fill(self, rest: bytes) -> None:
        piece = self._read(CHUNK)
        if not piece:
            raise MalformedError("the form has no end")
        self._buffer = rest + piece
