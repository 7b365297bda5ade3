"""Finds the files to upload: paths and patterns of paths, each a regular file with something in it."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gate.subjects import ScanFile
from gate.values import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


def find(patterns: Sequence[str]) -> tuple[ScanFile, ...]:
    """The files of `patterns`, each once, sorted by their paths.

    A path that exists is taken as it is, also where it has `*`, `?` or `[` in it.

    Raises:
        ValueError: a pattern matches no file, or a file cannot be uploaded.
    """
    paths: set[str] = set()
    for pattern in patterns:
        if os.path.lexists(pattern):
            paths.add(os.path.normpath(pattern))
            continue
        matches = [path for path in glob.iglob(pattern, recursive=True) if not Path(path).is_dir()]  # noqa: PTH207 - takes absolute patterns too
        if not matches:
            what = "matches no file" if glob.has_magic(pattern) else "does not exist"
            raise ValueError(f"{quoted(pattern)} {what}; look at the log of the job that should have made it")
        paths.update(map(os.path.normpath, matches))
    return tuple(_file(path) for path in sorted(paths))


def _file(path: str) -> ScanFile:
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
