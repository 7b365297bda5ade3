"""What the commands that talk to ThreadFix have in common: options in, a log out, and the key hidden in between."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate import certificates, files, parsing, proxies, threads
from gate.errors import OutOfThreadsError, UsageError
from gate.naming import Naming, naming
from gate.options import KEY_VARIABLE
from gate.reporters.console import Console
from gate.reporters.streams import BackgroundStream
from gate.settings import Reports
from gate.text import Sanitizer
from gate.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import RawIOBase
    from typing import BinaryIO

    from gate.errors import InvalidOption
    from gate.parsing import Parsed
    from gate.reporters.github import GitHub
    from gate.reporters.lines import Line
    from gate.reporters.terminal import Terminal
    from gate.settings import Settings
    from gate.signals import Signals
    from gate.text import Secret

INPUT_LIMIT: Final = 1024 * 1024
"""Bytes read of a key, a certificate or an upload's answer."""
_RETRY: Final = 0.02
"""Seconds after which an input that must not block is looked at again."""


class CommandContext:
    """What is known of a command so far, and where it is said.

    Attributes:
        parsed: what came of the options; at first nothing.
        log: standard error.
        github: the runner, where this is a step of one.
        terminal: the live line, where a person watches.
        console: the log.
        naming: how texts name an option.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        """Nothing is looked at yet."""
        self._env = dict(env)
        self._masked: set[Secret] = set()
        self._started = time.monotonic()
        self.naming: Naming = naming(env)
        self.parsed: Parsed = parsing.Parsed(None, (), Reports())
        self.log = BackgroundStream(sys.stderr)
        self.github: GitHub | None = None
        self.terminal: Terminal | None = None
        self.console = Console(self._print)

    @property
    def sanitizer(self) -> Sanitizer:
        """Hides what is secret."""
        return Sanitizer(self.parsed.secrets)

    def say(self, line: str) -> None:
        """Write a line to the log."""
        # Where it is a program's own stream, that one may be closed.
        with suppress(OSError, ValueError):
            self.log.write(f"{line}\n")

    def _print(self, line: Line) -> None:
        self.say(line.text)

    def parse(
        self,
        flags: Mapping[str, Sequence[str]],
        invalid: Sequence[InvalidOption],
        handler: Signals,
        *,
        needs_scan: bool = True,
    ) -> Settings:
        """The settings. From here on the secrets are hidden and the reports are known.

        Raises:
            UsageError: options are invalid.
            Cancelled: the process was told to stop; then the reports are known already.
        """
        early = parsing.parse_early(flags, self._env)
        self._apply(early)
        # Nothing that might be started from here needs the key.
        os.environ.pop(KEY_VARIABLE, None)
        handler.listen()
        until = self._started + early.input_limit

        def read(name: str) -> bytes:
            return _read(name, until, early.input_limit)

        parsed = parsing.parse(flags, self._env, read, files.find, invalid, needs_scan=needs_scan)
        server = parsed.server
        unusable = (*certificates.unusable(server, self.naming), *proxies.unusable(server, self._env)) if server else ()
        if unusable:
            parsed = replace(parsed, settings=None, invalid=parsed.invalid + unusable)
        self._apply(parsed)
        for warning in parsed.warnings:
            self.console.warning(warning)
        if parsed.settings is None:
            raise UsageError(parsed.invalid)
        return parsed.settings

    def explain(self, error: BaseException) -> None:
        """Put the traceback of a bug into the log, without secrets."""
        import traceback

        sanitizer = self.sanitizer
        for line in "".join(traceback.format_exception(error)).splitlines():
            self.console.line(sanitizer.redact(line))

    def _apply(self, parsed: Parsed) -> None:
        """Take in what is known: hide the secrets, and open the log that was asked for."""
        self.parsed = parsed
        self.github = self.github or _github(self._env, self.log)
        for secret in parsed.secrets:
            # Into a file the command would write the key, and nobody would obey it.
            if self.github and secret not in self._masked and not _is_file(self.log):
                self.github.mask(secret)
                self._masked.add(secret)
                # It must have reached the runner before anything that is written elsewhere does.
                self.log.drain()
        reports = parsed.reports
        self.terminal = None
        if not (self.github or reports.quiet) and self.log.isatty() and self._env.get("TERM") != "dumb":
            # The action's packages are without what draws there; a log does as well.
            with suppress(ImportError):
                from gate.reporters.terminal import Terminal

                self.terminal = Terminal(self.log)
        self.console = Console(
            self.terminal.write if self.terminal else self._print,
            warn=self.github.warning if self.github else None,
            draw=self.terminal.draw_upload if self.terminal else None,
            quiet=reports.quiet,
            verbose=reports.verbose,
            naming=self.naming,
        )


def _github(env: Mapping[str, str], log: BackgroundStream) -> GitHub | None:
    if env.get("GITHUB_ACTIONS") != "true":
        return None
    from gate.reporters.github import GitHub

    return GitHub(env, log)


def _is_file(stream: BackgroundStream) -> bool:
    """Whether it is a regular file, and so no runner that reads commands."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _read(name: str, until: float, limit: float) -> bytes:
    """What is in a file; `-` is standard input.

    It may be a pipe that nobody writes to, so it is read in a thread of its own.

    Args:
        name: its path.
        until: when to give up, on the monotonic clock.
        limit: how many seconds that is from the start, for the error.

    Raises:
        OSError: it cannot be read in time, or is far too long for what it should be.
    """
    outcome: list[bytes | OSError] = []
    over = threading.Event()

    def work() -> None:
        try:
            outcome.append(_content(name))
        except OSError as error:
            outcome.append(error)
        finally:
            over.set()

    try:
        threads.start(work)
    except OutOfThreadsError:
        work()
    # Of several files that never end only the first waits; what is there must be read all the same.
    if not over.wait(max(until - time.monotonic(), 1.0)):
        raise TimeoutError(errno.ETIMEDOUT, f"it did not end within {seconds(limit)}")
    (read,) = outcome
    if isinstance(read, OSError):
        raise read
    return read


def _content(name: str) -> bytes:
    if name != "-":
        with Path(name).open("rb", buffering=0) as file:
            return _up_to_limit(file)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    # Below Python's own buffer: its lock, held by a thread that waits, would keep Python from ending.
    return _up_to_limit(getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))


def _up_to_limit(file: BinaryIO | RawIOBase) -> bytes:
    content = bytearray()
    while len(content) <= INPUT_LIMIT:
        piece = file.read(INPUT_LIMIT + 1 - len(content))
        if piece is None:
            # Whoever made the pipe has set it not to block; there is nothing in it yet.
            time.sleep(_RETRY)
            continue
        if not piece:
            return bytes(content)
        content += piece
    raise OSError(errno.EFBIG, "it is longer than 1 MiB")
