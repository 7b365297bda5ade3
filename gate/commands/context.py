"""What the commands that talk to ThreadFix have in common: options in, a log out, and the key hidden in between."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate import certificates, files, parsing, proxies
from gate.errors import UsageError
from gate.naming import Naming, naming, started_as
from gate.options import KEY_VARIABLE
from gate.reporters.console import Console
from gate.reporters.streams import BackgroundStream
from gate.settings import Reports
from gate.text import Sanitizer

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
        signals: whether the gate was told to stop.
        log: standard error.
        github: the runner, where this is a step of one.
        terminal: the live line, where a person watches.
        console: the log.
        naming: how texts name an option.
    """

    def __init__(self, env: Mapping[str, str], signals: Signals) -> None:
        """Nothing is looked at yet."""
        self._env = dict(env)
        self.signals = signals
        self.naming: Naming = naming(env, started_as(sys.argv, sys.orig_argv))
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
        *,
        needs_scan: bool = True,
    ) -> Settings:
        """The settings. From here on the secrets are hidden and the reports are known.

        Raises:
            UsageError: options are invalid.
            Cancelled: there was a signal; then the reports are known already.
            OutOfThreadsError: the files could not be read, because no thread could be started.
        """
        self.parsed = parsing.parse_early(flags, self._env)
        # Nothing that might be started from here needs the key.
        os.environ.pop(KEY_VARIABLE, None)
        if self._env.get("GITHUB_ACTIONS") == "true":
            from gate.reporters.github import GitHub

            self.github = GitHub(self._env, self.log)
        self._mask(self.parsed.secrets)
        self._open_log(self.parsed.reports)

        def parse() -> Parsed:
            parsed = parsing.parse(flags, self._env, _read, files.find, invalid, needs_scan=needs_scan)
            server = parsed.server
            if not server:
                return parsed
            unusable = (*certificates.unusable(server, self.naming), *proxies.unusable(server, self._env))
            return replace(parsed, settings=None, invalid=parsed.invalid + unusable) if unusable else parsed

        known = self.parsed.secrets
        self.parsed = self.signals.call(parse)
        self._mask([secret for secret in self.parsed.secrets if secret not in known])
        for warning in self.parsed.warnings:
            self.console.warning(warning)
        if self.parsed.settings is None:
            raise UsageError(self.parsed.invalid)
        return self.parsed.settings

    def explain(self, error: BaseException) -> None:
        """Put the traceback of a bug into the log, without secrets."""
        import traceback

        sanitizer = self.sanitizer
        for line in "".join(traceback.format_exception(error)).splitlines():
            self.console.line(sanitizer.redact(line))

    def _mask(self, secrets: Sequence[Secret]) -> None:
        """Have the runner hide them, before anything else is printed."""
        # Into a file the command would write the key, and no runner would obey it.
        if secrets and self.github and not _is_file(self.log):
            for secret in secrets:
                self.github.mask(secret)
            # They must have reached the runner before anything that is written elsewhere does.
            self.log.drain()

    def _open_log(self, reports: Reports) -> None:
        """Make the log that was asked for."""
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


def _is_file(stream: BackgroundStream) -> bool:
    """Whether it is a regular file, and so no runner that reads commands."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _read(name: str) -> bytes:
    """The content of a file; `-` is standard input.

    Raises:
        OSError: it cannot be read, or is far too long for what it should be.
    """
    if name != "-":
        with Path(name).open("rb", buffering=0) as file:
            return _up_to_limit(file)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    return _up_to_limit(sys.stdin.buffer)


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
