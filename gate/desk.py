"""What the commands that talk to ThreadFix have in common: options in, a log out, and the key hidden in between."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate import settings
from gate.errors import UsageError
from gate.reporters.console import Console, to_log
from gate.text import Scrubber
from gate.threadfix import certificates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gate.reporters.github import GitHub
    from gate.reporters.terminal import Terminal
    from gate.settings import Parsed, Settings
    from gate.text import Secret

INPUT_LIMIT: Final = 1024 * 1024
"""Bytes read of a key, a certificate or an upload's answer."""


class Desk:
    """What is known of a command so far, and where it is said.

    Attributes:
        parsed: what came of the options; at first nothing.
        github: the runner, where this is a step of one.
        terminal: the live line, where a person watches.
        console: the log.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        """Nothing is looked at yet."""
        self._env = dict(env)
        self._masked: set[Secret] = set()
        self.parsed: Parsed = settings.Parsed(None, (), settings.Reports())
        self.github: GitHub | None = None
        self.terminal: Terminal | None = None
        self.console = Console(to_log)

    @property
    def scrub(self) -> Scrubber:
        """Hides what is secret."""
        return Scrubber(self.parsed.secrets)

    def parse(
        self, flags: Mapping[str, Sequence[str]], mistakes: Sequence[str], *, needs_scan: bool = True
    ) -> Settings:
        """The settings. From here on the secrets are hidden and the reports are known.

        Raises:
            UsageError: there are mistakes.
        """
        self._know(settings.early(flags, self._env))
        # Nothing that might be started from here needs the key.
        os.environ.pop(settings.KEY_VARIABLE, None)
        parsed = settings.parse(flags, self._env, _read, mistakes, needs_scan=needs_scan)
        unusable = certificates.mistakes(parsed.server) if parsed.server else ()
        if unusable:
            parsed = replace(parsed, settings=None, mistakes=parsed.mistakes + unusable)
        self._know(parsed)
        if self.parsed.settings is None:
            raise UsageError(self.parsed.mistakes)
        return self.parsed.settings

    def explain(self, error: BaseException) -> None:
        """Put the traceback of a bug into the log, without secrets."""
        import traceback

        scrub = self.scrub
        for line in "".join(traceback.format_exception(error)).splitlines():
            self.console.line(scrub.redact(line))

    def _know(self, parsed: Parsed) -> None:
        """Take in what is known: hide the secrets, and open the log that was asked for."""
        self.parsed = parsed
        self.github = self.github or _github(self._env)
        for secret in parsed.secrets:
            if self.github and secret not in self._masked:
                self.github.mask(secret)
                self._masked.add(secret)
        reports = parsed.reports
        self.terminal = None
        if not (self.github or reports.quiet) and sys.stderr.isatty() and self._env.get("TERM") != "dumb":
            from gate.reporters.terminal import Terminal

            self.terminal = Terminal(sys.stderr)
        self.console = Console(
            self.terminal.write if self.terminal else to_log,
            warn=self.github.warning if self.github else None,
            quiet=reports.quiet,
            verbose=reports.verbose,
        )


def _github(env: Mapping[str, str]) -> GitHub | None:
    if env.get("GITHUB_ACTIONS") != "true":
        return None
    from gate.reporters.github import GitHub

    return GitHub(env, sys.stderr)


def _read(name: str) -> bytes:
    """What is in a file; `-` is standard input.

    Raises:
        OSError: it cannot be read, or is far too long for what it should be.
    """
    if name == "-":
        content = sys.stdin.buffer.read(INPUT_LIMIT + 1)
    else:
        with Path(name).open("rb") as file:
            content = file.read(INPUT_LIMIT + 1)
    if len(content) > INPUT_LIMIT:
        raise OSError(27, "it is longer than 1 MiB")
    return content
