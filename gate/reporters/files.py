"""Write a report completely or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(name: str, content: str) -> None:
    """Write `content` as UTF-8 to the file `name`, and create its folder if it is missing.

    A reader never sees half of it: a temporary file in the same folder replaces the old file. A device or a pipe is
    written to directly. A link to a file is followed. A link that leads to nothing is replaced, so that no link in a
    checked-out folder chooses the place of a new file.

    Raises:
        OSError: it cannot be written; an older file is untouched.
    """
    path = Path(os.path.realpath(name)) if Path(name).exists() else Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        # Without waiting for a reader: an unread pipe would block the gate for ever.
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        return
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        # The usual mode of a new file; a temporary file is private.
        Path(beside).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
