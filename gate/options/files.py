"""Finds the files to upload: paths and patterns of paths, each a regular file with something in it."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.model.subjects import ScanFile
from gate.text.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

_SEPARATORS: Final = re.escape(os.sep + (os.altsep or ""))
_ANY_FOLDERS: Final = re.compile(rf"(?:(?<=[{_SEPARATORS}])|\A)(?:\*\*(?:[{_SEPARATORS}]+|\Z))+")
"""`**`, with the separators after it. Several in a row count once."""


def find(patterns: Sequence[str]) -> tuple[ScanFile, ...]:
    """Return the files of `patterns`, each once, sorted by their paths.

    A path that exists is used as it is, also with `*`, `?` or `[` in it. A file with several paths, through links too,
    is used once: ThreadFix would refuse it the second time.

    Raises:
        ValueError: patterns match no file, or files cannot be uploaded. Its text names each of them.
    """
    wrong: list[str] = []
    paths: set[str] = set()
    for pattern in patterns:
        matches = {_plain(path) for path in _matches(pattern)}
        if not matches:
            wrong.append(f"{quoted(pattern)} {_nothing(pattern)}")
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


def _nothing(pattern: str) -> str:
    """Return why nothing matches; a folder may not be readable for this user."""
    import glob

    parents = (str(folder) for folder in Path(os.path.abspath(pattern)).parents)  # noqa: PTH100 - no links are followed
    folder = next((folder for folder in parents if os.path.isdir(folder)), os.sep)  # noqa: PTH112
    is_pattern = glob.has_magic(pattern)
    if not os.access(folder, os.X_OK | (os.R_OK if is_pattern else 0)):
        return f"cannot be found, because this user may not look into the folder {quoted(folder)}"
    what = "matches no file" if is_pattern else "does not exist"
    return f"{what}; look at the log of the job that should have made it"


def _matches(pattern: str) -> Iterator[str]:
    if os.path.lexists(pattern):
        yield pattern
        return
    for path in _expanded(pattern):
        # Not `Path.is_dir`, which raises if it has no permission.
        if not os.path.isdir(path):  # noqa: PTH112
            yield path


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the matches of a pattern, folders too, as `glob` does, but with `_folders` for `**`."""
    import glob

    found = _ANY_FOLDERS.search(pattern)
    if not found:
        yield from glob.iglob(pattern)  # noqa: PTH207 - takes absolute patterns too
        return
    head, tail = pattern[: found.start()], pattern[found.end() :] or "*"
    for base in glob.iglob(head) if head else ("",):  # noqa: PTH207
        for folder in _folders(base):
            yield from _expanded(os.path.join(glob.escape(folder), tail))  # noqa: PTH118 - keeps doubled separators


def _folders(base: str) -> Iterator[str]:
    """Yield a folder and all folders below it, except hidden folders. Links are followed; each folder is yielded once.

    `glob` follows a circle of links until the system stops it. With two circles it tries every order of them, and does
    not end.
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
            # Not `os.scandir`: a broken entry would hide the entries after it.
            if name.startswith(".") or not os.path.isdir(path):  # noqa: PTH112
                continue
            if os.path.islink(path):  # noqa: PTH114
                links.append(path)
            else:
                left.append((path, os.path.join(real, name)))  # noqa: PTH118


def _plain(path: str) -> str:
    """Return a path without `.` and doubled separators. `..` stays: after a link it leads to another folder."""
    return path if ".." in Path(path).parts else os.path.normpath(path)


def _file(path: str) -> ScanFile:
    """Return a file that can be uploaded.

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
    """Open a file for reading that may have been replaced, without waiting for a writer if it is a pipe.

    Raises:
        OSError: it cannot be opened.
    """

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

    return open(path, "rb", buffering=0, opener=opener)
