"""The table of reports: the option, name, destination and renderer of each.

To add a report: an option, a module with `render(verdict) -> str`, and a row here.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.judge.verdict import Verdict


class Destination(Enum):
    """The destination of a report."""

    FILE = "file"
    STANDARD_OUTPUT = "standard output"
    JOB_SUMMARY = "job summary"


@dataclass(frozen=True, slots=True)
class Report:
    """The option that requests a report (for a file, its value is the path), its name in messages, and its module."""

    option: str
    name: str
    destination: Destination
    module: str

    def render(self, verdict: Verdict) -> str:
        """Return the text of the report."""
        # Some modules need libraries that take longer to load than a finished scan takes.
        renderer: Callable[[Verdict], str] = import_module(f"gate.reporters.{self.module}").render
        return renderer(verdict)

    def notice(self, verdict: Verdict) -> str:
        """Return a sentence about what the report leaves out; empty if it is complete."""
        return str(getattr(import_module(f"gate.reporters.{self.module}"), "notice", lambda _: "")(verdict))


REPORTS: Final = (
    Report("summary", "the job summary", Destination.JOB_SUMMARY, "summary"),
    Report("result-file", "the result document", Destination.FILE, "result"),
    Report("junit-file", "the JUnit report", Destination.FILE, "junit"),
    Report("dotenv-file", "the dotenv file", Destination.FILE, "outputs"),
    Report("html-file", "the HTML report", Destination.FILE, "page"),
    Report("json", "the result document", Destination.STANDARD_OUTPUT, "result"),
)
"""Every report, in the order of writing."""


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
