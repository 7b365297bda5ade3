"""Parses URL-encoded and multipart forms. Only the beginning of a file is kept."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from mmap import mmap

HEAD: Final = 64 * 1024
"""Maximum bytes of the headers of a part, and of a line."""
KEPT: Final = 1024 * 1024
"""Bytes to keep from the beginning of a file or a field."""

_PARAMETER: Final = re.compile(r""";\s*([\w*-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]*))""", re.DOTALL)


class MalformedError(ValueError):
    """The body is not a valid form."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file that was uploaded."""

    field: str  # the name of the form field
    name: str
    size: int
    sha256: str  # the hash of the content, in hexadecimal digits
    head: bytes = b""  # the first MiB of the content

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


def multipart(body: bytes | mmap, boundary: bytes) -> Form:
    """Parse a multipart form.

    Raises:
        MalformedError: the form is malformed.
    """
    form, mark = Form(), b"\r\n--" + boundary
    at = 0 if body[: len(mark) - 2] == mark[2:] else _find(body, mark, 0) + 2
    while body[(at := at + len(mark) - 2) : at + 2] != b"--":
        begin = _find(body, b"\r\n", at)
        if body[at:begin].strip(b" \t"):
            raise MalformedError("something follows a boundary")
        end = _find(body, mark, begin)
        _part(body, begin, end, form)
        at = end + 2
    return form


def _find(body: bytes | mmap, text: bytes, begin: int) -> int:
    at = body.find(text, begin)
    if at < 0:
        raise MalformedError("the form has no end")
    return at


def _part(body: bytes | mmap, begin: int, end: int, form: Form) -> None:
    """Parse the part between two boundaries, with the line breaks around it."""
    content = body.find(b"\r\n\r\n", begin, min(end, begin + HEAD) + 4) + 4
    lines = re.sub(rb"\r\n(?=[ \t])", b"", body[begin:content]).decode("utf-8", "replace")
    pairs = (line.partition(":") for line in lines.split("\r\n"))
    disposition = {name.strip().lower(): value.strip() for name, _, value in pairs}.get("content-disposition", "")
    parameters = _parameters(disposition)
    name = parameters.get("name")
    if name is None or not disposition.lower().startswith("form-data"):
        raise MalformedError("a part has no name")
    head = body[content : min(end, content + KEPT)]
    if "filename" not in parameters:
        form.fields.setdefault(name, head.decode("utf-8", "replace"))
        return
    with memoryview(body) as whole, whole[content:end] as file:
        digest = hashlib.sha256(file).hexdigest()
    form.files.append(ReceivedFile(name, parameters["filename"], end - content, digest, head))


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header by name in lower case. `filename*` is another name, as in ThreadFix [RUN]."""
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(header):
        # Any other backslash is literal: some clients do not escape the backslashes of Windows paths.
        value = re.sub(r'\\(["\\])', r"\1", quoted) or bare
        parameters.setdefault(name.lower(), value)
    return parameters
