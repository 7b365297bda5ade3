"""Reads forms, urlencoded and multipart; a file in one is hashed while it arrives, and not kept."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHUNK: Final = 256 * 1024
"""Bytes that are read at a time."""
HEAD: Final = 64 * 1024
"""Bytes of the beginning of a file that are kept, and of a field, and of the headers of a part."""

_PARAMETER: Final = re.compile(r""";\s*([\w*-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]*))""", re.DOTALL)


class MalformedError(ValueError):
    """The body is not the form that its headers promise."""


class LostConnectionError(ConnectionError):
    """The client went away before its request was here."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that was uploaded.

    Attributes:
        field: the name of its field.
        name: the file's own.
        size: in bytes.
        sha256: the hash of its content, in hexadecimal digits.
        head: its first 64 KiB.
    """

    field: str
    name: str
    size: int
    sha256: str
    head: bytes = b""

    @property
    def whole(self) -> bool:
        """Whether `head` is all of it."""
        return self.size == len(self.head)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, each once, and its files in their order."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[ReceivedFile] = field(default_factory=list)


def boundary(content_type: str) -> bytes | None:
    """The boundary in the `Content-Type` of a multipart form; None where it is no such form."""
    kind, _, _ = content_type.partition(";")
    found = _parameters(content_type).get("boundary")
    return found.encode("latin-1", "replace") if kind.strip().lower() == "multipart/form-data" and found else None


def urlencoded(text: str) -> dict[str, str]:
    """The fields of a query, or of an urlencoded form; of those that are there twice, the first."""
    return dict(reversed(parse_qsl(text, keep_blank_values=True)))


def multipart(read: Callable[[int], bytes], boundary: bytes) -> Form:
    """The multipart form that `read` returns piece by piece.

    Args:
        read: returns up to so many bytes; none at the end.
        boundary: from the `Content-Type`.

    Raises:
        MalformedError: it is no such form.
        BaseException: whatever `read` raises.
    """
    stream = _Stream(read)
    form = Form()
    delimiter = b"\r\n--" + boundary
    for _ in stream.until(delimiter):
        pass  # What stands before the first part is for nobody.
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
    """The headers of a part, by name in small letters; a line that begins with a blank continues the one before."""
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
    """Return the parameters of a header by name in small letters. No client of ours sends a `filename*`."""
    found: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(header):
        # A backslash before anything else is one: not everybody escapes the folders of Windows.
        value = re.sub(r'\\(["\\])', r"\1", quoted) or bare
        found.setdefault(name.lower(), value)
    return found


class _Stream:
    """Bytes that arrive piece by piece. Before the first one there is a line break, so that a boundary follows one."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b"\r\n"

    def more(self) -> bool:
        """Read on, and forget what was read unless it begins something; whether there was anything."""
        piece = self._read(CHUNK)
        self._buffer = piece
        return bool(piece)

    def until(self, mark: bytes) -> Iterator[bytes]:
        """The bytes before `mark`, piece by piece; when it ends, what is next stands behind the mark.

        Raises:
            MalformedError: it does not come.
        """
        while (at := self._buffer.find(mark)) < 0:
            # Its first bytes may be the last that are here.
            sure = max(0, len(self._buffer) - len(mark) + 1)
            if sure:
                yield self._buffer[:sure]
            self._fill(self._buffer[sure:])
        piece, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        if piece:
            yield piece

    def starts_with(self, text: bytes) -> bool:
        """Whether this is next."""
        while len(self._buffer) < len(text):
            self._fill(self._buffer)
        return self._buffer.startswith(text)

    def line(self) -> bytes:
        """The next line, without its end."""
        line = b""
        for piece in self.until(b"\r\n"):
            line += piece
            if len(line) > HEAD:
                raise MalformedError("a line is too long")
        return line

    def skip_line(self) -> None:
        """Go behind the line break that follows a boundary, and the blanks before it."""
        if self.line().strip(b" \t"):
            raise MalformedError("something follows a boundary")

    def _fill(self, rest: bytes) -> None:
        piece = self._read(CHUNK)
        if not piece:
            raise MalformedError("the form has no end")
        self._buffer = rest + piece
