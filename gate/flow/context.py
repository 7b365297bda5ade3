"""The common parts of `run` and `doctor`: parsed options, the log, and the key that it must not show."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.judge.verdict import Verdict
from gate.model import build
from gate.model.reasons import UsageError
from gate.net import files
from gate.net.peer import unusable_options
from gate.options import parsing
from gate.options.settings import Reports
from gate.options.table import KEY_VARIABLE
from gate.reporters.console import Console
from gate.reporters.streams import BackgroundStream
from gate.text.sanitizer import Sanitizer
from gate.text.wording import Naming, naming, started_as

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.judge.conclusions import Conclusion
    from gate.model.reasons import InvalidOption
    from gate.options.parsing import Parsed
    from gate.options.settings import Settings
    from gate.reporters.closing import Line
    from gate.reporters.github import GitHub
    from gate.reporters.terminal import Terminal
    from gate.text.sanitizer import Secret

INPUT_LIMIT: Final = 1024 * 1024  # bytes of a key or of an upload's response
_RETRY: Final = 0.02  # seconds between two reads of an input that does not block


class CommandContext:
    """The options of a command and its log."""

    def __init__(self, env: Mapping[str, str], signals: Signals) -> None:
        self.started_at = datetime.now(timezone.utc)
        self._started = time.monotonic()
        self._env = dict(env)
        self.signals = signals
        self.naming: Naming = naming(env, started_as(sys.argv, sys.orig_argv))
        self.parsed: Parsed = parsing.Parsed(None, (), Reports())  # empty until `parse`
        self.log = BackgroundStream(sys.stderr)
        self.github: GitHub | None = None  # None outside GitHub
        self.terminal: Terminal | None = None  # the live line; None if standard error is no terminal
        self.console = Console(self._print)  # a plain log until `parse`

    @property
    def elapsed(self) -> float:
        """Seconds since the start, on a monotonic clock."""
        return time.monotonic() - self._started

    @property
    def sanitizer(self) -> Sanitizer:
        """Hides the secrets."""
        return Sanitizer(self.parsed.secrets)

    def verdict(self, conclusion: Conclusion) -> Verdict:
        """Return a verdict without parts; the run ends now."""
        settings = self.parsed.settings
        return Verdict(
            conclusion=conclusion,
            started_at=self.started_at,
            finished_at=datetime.now(timezone.utc),
            elapsed=self.elapsed,
            naming=self.naming,
            server=self.parsed.origin,
            replaced=settings.replaced if settings else (),
            result_file=self.parsed.reports.result_file,
            build=build.current(self._env, self.sanitizer),
        )

    def write_line(self, line: str) -> None:
        """Write a line to the log."""
        # The calling program may have replaced the stream and closed its own.
        with suppress(OSError, ValueError):
            self.log.write(f"{line}\n")

    def _print(self, line: Line) -> None:
        self.write_line(line.text)

    def parse(
        self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption], *, needs_scan: bool = True
    ) -> Settings:
        """Return the settings. Afterwards, also after an error, the secrets are hidden and the reports are known.

        Raises:
            UsageError: options are invalid.
            Cancelled: there was a signal.
            OutOfThreadsError: no thread could be started to read the files.
        """
        self.parsed = parsing.parse_early(flags, self._env)
        # No child process needs the key.
        os.environ.pop(KEY_VARIABLE, None)
        if self._env.get("GITHUB_ACTIONS") == "true":
            from gate.reporters.github import GitHub

            self.github = GitHub(self._env, self.log)
        self._mask(self.parsed.secrets)
        self._open_log(self.parsed.reports)
        known = self.parsed.secrets

        def parse() -> Parsed:
            parsed = parsing.parse(flags, self._env, _read, files.find, invalid, needs_scan=needs_scan)
            server = parsed.server
            assert server is not None  # noqa: S101 - only `parse_early` leaves it out
            unusable = tuple(unusable_options(server, self.naming, self._env))
            return replace(parsed, settings=None, invalid=parsed.invalid + unusable) if unusable else parsed

        self.parsed = self.signals.call(parse)
        self._mask([secret for secret in self.parsed.secrets if secret not in known])
        for warning in self.parsed.warnings:
            self.console.warning(warning)
        if self.parsed.settings is None:
            raise UsageError(self.parsed.invalid)
        return self.parsed.settings

    def explain(self, error: BaseException) -> None:
        """Log the traceback of a bug, without secrets."""
        import traceback

        redact = self.sanitizer.redact
        for line in "".join(traceback.format_exception(error)).splitlines():
            self.console.line(redact(line))

    def _mask(self, secrets: Sequence[Secret]) -> None:
        """Let the runner mask secrets, before anything else is printed."""
        # In a regular file, the command would show the key, and no runner would read it.
        if secrets and self.github and not _is_file(self.log):
            for secret in secrets:
                self.github.mask(secret)
            # The runner must have them before it reads another stream.
            self.log.drain()

    def _open_log(self, reports: Reports) -> None:
        """Replace the plain log by the requested log."""
        watched = self.log.isatty() and self._env.get("TERM") != "dumb" and not self._env.get("CI")
        if watched and not (self.github or reports.quiet):
            # The single file has no package for it.
            with suppress(ImportError):
                from gate.reporters.terminal import Terminal

                self.terminal = Terminal(self.log)
        self.console = Console(
            self.terminal.write if self.terminal else self._print,
            warn=self.github.annotate if self.github else None,
            draw=self.terminal.draw_upload if self.terminal else None,
            quiet=reports.quiet,
            verbose=reports.verbose,
            naming=self.naming,
        )


def _is_file(stream: BackgroundStream) -> bool:
    """Return whether a stream is a regular file. No runner reads commands from a regular file."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _read(name: str) -> bytes:
    """Return the content of a file; `-` is standard input.

    Raises:
        OSError: the file cannot be read, or is longer than 1 MiB.
    """
    if name == "-" and sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    content = bytearray()
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb", buffering=0) as file:
        while len(content) <= INPUT_LIMIT:
            piece = file.read(INPUT_LIMIT + 1 - len(content))
            if piece is None:
                # An empty pipe that does not block.
                time.sleep(_RETRY)
            elif not piece:
                return bytes(content)
            else:
                content += piece
    raise OSError(errno.EFBIG, "it is longer than 1 MiB")
