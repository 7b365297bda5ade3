"""Finds the files to upload: paths and patterns of paths, each a regular file that is not empty."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.model.subjects import FolderError, ScanFile
from gate.text.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import FileIO

_SEPARATORS: Final = re.escape(os.sep + (os.altsep or ""))
_ANY_FOLDERS: Final = re.compile(rf"(?:(?<=[{_SEPARATORS}])|\A)(?:\*\*(?:[{_SEPARATORS}]+|\Z))+")
"""One or more `**`, with the separators after them."""


def find(patterns: Sequence[str]) -> tuple[ScanFile, ...]:
    """Return the files of `patterns`, each once, sorted by their paths.

    A path that exists is used as it is, even if it contains `*`, `?` or `[`. A file with several paths, also through
    links, is used once: ThreadFix would refuse it the second time.

    Raises:
        FolderError: every path that cannot be uploaded is a folder.
        ValueError: patterns match no file, or files cannot be uploaded; the text names each of them.
    """
    paths = {pattern: {_normalized(path) for path in _matches(pattern)} for pattern in patterns}
    errors = [ValueError(f"{quoted(pattern)} {_why_missing(pattern)}") for pattern, found in paths.items() if not found]
    files: dict[str, ScanFile] = {}
    for path in sorted(set().union(*paths.values())):
        try:
            files.setdefault(os.path.realpath(path), _file(path))
        except ValueError as error:
            errors.append(error)
    if errors:
        kind = FolderError if all(isinstance(error, FolderError) for error in errors) else ValueError
        raise kind("; ".join(map(str, errors)))
    return tuple(files.values())


def _why_missing(pattern: str) -> str:
    """Return why nothing matches; this user may not be allowed to list a folder."""
    import glob

    parents = (str(folder) for folder in Path(os.path.abspath(pattern)).parents)  # noqa: PTH100 - follows no link
    folder = next((folder for folder in parents if os.path.isdir(folder)), os.sep)  # noqa: PTH112
    is_pattern = glob.has_magic(pattern)
    if not os.access(folder, os.X_OK | (os.R_OK if is_pattern else 0)):
        return f"cannot be found, because this user has no permission to search the folder {quoted(folder)}"
    why = "matches no file" if is_pattern else "does not exist"
    where = "" if os.path.isabs(pattern) else f" in the folder '{os.getcwd()}'"  # noqa: PTH109, PTH117 - as texts
    return f"{why}{where}{'; write one path per line' if re.search('[, ]', pattern) else ''}"


def _matches(pattern: str) -> Iterable[str]:
    """Return the path itself if it exists, otherwise the files that match the pattern."""
    # Not `Path.is_dir`, which raises if it has no permission.
    matches = (path for path in _glob(pattern) if not os.path.isdir(path))  # noqa: PTH112
    return [pattern] if os.path.lexists(pattern) else matches


def _glob(pattern: str) -> Iterator[str]:
    """Yield the matches of a pattern, folders included, as `glob` does, but with `_folders` for `**`."""
    import glob

    stars = _ANY_FOLDERS.search(pattern)
    if not stars:
        yield from glob.iglob(pattern)  # noqa: PTH207 - takes absolute patterns too
        return
    head, tail = pattern[: stars.start()], pattern[stars.end() :] or "*"
    for base in glob.iglob(head) if head else (os.curdir,):  # noqa: PTH207
        for folder in _folders(base):
            yield from _glob(os.path.join(glob.escape(folder), tail))  # noqa: PTH118 - keeps doubled separators


def _folders(base: str) -> Iterator[str]:
    """Yield a folder and all folders below it, except hidden folders. Links are followed; each folder is yielded once.

    `glob` never ends if two links lead back up, because it tries every order of them.
    """
    visited: set[str] = set()
    starts = [base]
    for start in starts:  # Links to folders are appended during the loop, and so come after the folders themselves.
        for folder, names, _ in os.walk(start):
            real = os.path.realpath(folder)
            names[:] = [] if real in visited else sorted(name for name in names if not name.startswith("."))
            if real not in visited:
                visited.add(real)
                starts += filter(os.path.islink, (os.path.join(folder, name) for name in names))  # noqa: PTH118
                yield folder


def _normalized(path: str) -> str:
    """Return a path without `.` and doubled separators. `..` stays: after a link it leads to another folder."""
    return path if ".." in Path(path).parts else os.path.normpath(path)


def _file(path: str) -> ScanFile:
    """Return a file that can be uploaded, or raise ValueError with the reason why it cannot."""
    # Reports cannot show bytes that are not UTF-8.
    shown = os.fsencode(path).decode("utf-8", "replace")
    name = quoted(shown)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise FolderError(f"{name} is a folder; name its files, or a pattern such as {quoted(shown + '/*')}")
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{name} is not a regular file")
        if not status.st_size:
            raise ValueError(f"{name} is empty")
        with opened(path) as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"{name} cannot be read ({error.strerror})") from error
    return ScanFile(path, status.st_size, shown)


def opened(path: str) -> FileIO:
    """Open a file for reading, without waiting for a writer if a pipe has replaced it; raises OSError."""

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

    return open(path, "rb", buffering=0, opener=opener)
