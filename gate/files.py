"""Finds the files to upload: paths and patterns of paths, each a regular file with something in it."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.subjects import ScanFile
from gate.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

_SEPARATORS: Final = re.escape(os.sep + (os.altsep or ""))
_ANY_FOLDERS: Final = re.compile(rf"(?:(?<=[{_SEPARATORS}])|\A)(?:\*\*(?:[{_SEPARATORS}]+|\Z))+")
"""`**`, with the separators behind it; several in a row are one."""


def find(patterns: Sequence[str]) -> tuple[ScanFile, ...]:
    """The files of `patterns`, each once, sorted by their paths.

    A path that exists is taken as it is, also where it has `*`, `?` or `[` in it. A file that is there under several
    paths, through links too, is taken once: ThreadFix would refuse it the second time.

    Raises:
        ValueError: patterns match no file, or files cannot be uploaded. Its text names each of them.
    """
    import glob

    wrong: list[str] = []
    paths: set[str] = set()
    for pattern in patterns:
        matches = {_plain(path) for path in _matches(pattern)}
        if not matches:
            what = "matches no file" if glob.has_magic(pattern) else "does not exist"
            wrong.append(f"{quoted(pattern)} {what}; look at the log of the job that should have made it")
        paths |= matches
    files: dict[str, ScanFile] = {}
    for path in sorted(paths):
        try:
            files.setdefault(os.path.realpath(path), _file(path))
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(files.values())


def _matches(pattern: str) -> Iterator[str]:
    if os.path.lexists(pattern):
        yield pattern
        return
    for path in _expanded(pattern):
        # Not `Path.is_dir`, which raises where it may not look.
        if not os.path.isdir(path):  # noqa: PTH112
            yield path


def _expanded(pattern: str) -> Iterator[str]:
    """What matches a pattern, folders too; as `glob` does it, but for what `_folders` says."""
    import glob

    found = _ANY_FOLDERS.search(pattern)
    if not found:
        yield from glob.iglob(pattern)  # noqa: PTH207 - takes absolute patterns too
        return
    head, tail = pattern[: found.start()], pattern[found.end() :] or "*"
    for base in glob.iglob(head) if head else ("",):  # noqa: PTH207
        for folder in _folders(base):
            yield from _expanded(os.path.join(glob.escape(folder), tail))  # noqa: PTH118 - keeps what is doubled


def _folders(base: str) -> Iterator[str]:
    """A folder and all below it, through links too, but for hidden ones; each once, rather not by a link.

    `glob` goes around in a circle until the system stops it, and of two circles takes every order in which they can be
    gone around: that does not end.
    """
    known: set[str] = set()
    left, links = [(base, os.path.realpath(base))], deque[str]()
    while left or links:
        folder, real = left.pop() if left else (links[0], os.path.realpath(links.popleft()))
        if real in known:
            continue
        known.add(real)
        yield folder
        try:
            names = sorted(os.listdir(folder or os.curdir))  # noqa: PTH208 - as `folder` writes them
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118
            # Not `os.scandir`: of its entries one that is broken would hide those behind it.
            if name.startswith(".") or not os.path.isdir(path):  # noqa: PTH112
                continue
            if os.path.islink(path):  # noqa: PTH114
                links.append(path)
            else:
                left.append((path, os.path.join(real, name)))  # noqa: PTH118


def _plain(path: str) -> str:
    """A path without `.` and doubled separators. With `..` it stays: behind a link that leads elsewhere."""
    return path if ".." in Path(path).parts else os.path.normpath(path)


def _file(path: str) -> ScanFile:
    """A file that can be uploaded.

    Raises:
        ValueError: it cannot.
    """
    # As bytes that are no UTF-8 reach Python, no report could show them.
    shown = os.fsencode(path).decode("utf-8", "replace")
    try:
        found = Path(path).stat()
        if stat.S_ISDIR(found.st_mode):
            raise ValueError(
                f"{quoted(shown)} is a folder; write a pattern of its files, such as {quoted(shown + '/*')}"
            )
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{quoted(shown)} is not a regular file")
        if not found.st_size:
            raise ValueError(f"{quoted(shown)} is empty; look at the log of the job that should have written it")
        with opened(path) as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"{quoted(shown)} cannot be read ({error.strerror})") from error
    return ScanFile(path, found.st_size, shown)


def opened(path: str) -> FileIO:
    """A file, open for reading, in whose place there may be something else by now.

    Opening a pipe would wait for somebody who writes into it.

    Raises:
        OSError: it cannot be opened.
    """

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

    return open(path, "rb", buffering=0, opener=opener)
