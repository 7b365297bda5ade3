"""Finds the files to upload: paths and patterns of paths, each a regular file with something in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gate.subjects import ScanFile
from gate.values import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    import glob

    if os.path.lexists(pattern):
        yield pattern
        return
    for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - takes absolute patterns too
        # Not `Path.is_dir`, which raises where it may not look.
        if not os.path.isdir(path):  # noqa: PTH112
            yield path


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
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"{quoted(shown)} cannot be read ({error.strerror})") from error
    return ScanFile(path, found.st_size, shown)
