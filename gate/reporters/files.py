"""How a report reaches the disk: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_atomic(name: str, content: str) -> None:
    """Write `content` as UTF-8 to the file `name`, making its folder where it is missing.

    A reader never sees half of it: it is written beside and moved into place. What is there and is no regular file (a
    device, a pipe) is written to as it is. A link to a file is followed; one that leads to nothing is replaced, so that
    no link in a checked-out folder chooses where a new file comes to be, and the report is where it was asked for.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    path = Path(os.path.realpath(name)) if Path(name).exists() else Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        # Not waiting for a reader: a pipe that nobody reads would hold the gate for ever.
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        return
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        # As a file made the usual way would have it; a temporary one is for its owner alone.
        Path(beside).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
