"""One run of the gate: parse → ask → wait → judge → report. Wires the rooms together; decides nothing itself."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate import settings, signals
from gate import verdict as verdicts
from gate.errors import Cancelled, UsageError
from gate.reasons import Kind
from gate.reporters.console import Console, to_log
from gate.text import Scrubber
from gate.waiting import Deadline, Wait, wait_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gate.history import History, Target
    from gate.reporters.github import GitHub
    from gate.reporters.terminal import Terminal
    from gate.settings import Parsed, Settings
    from gate.threadfix.client import Client
    from gate.verdict import Finding, ScanVerdict, Verdict
    from gate.waiting import Event

INPUT_LIMIT: Final = 1024 * 1024
"""Bytes read of a key, a certificate or an upload's answer."""


def run_gate(flags: Mapping[str, Sequence[str]], env: Mapping[str, str], mistakes: Sequence[str] = ()) -> int:
    """Run the gate; the exit code.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        mistakes: what is wrong with the command line itself, a sentence each.
    """
    run = _Run(env)
    with signals.handled() as handler:
        try:
            verdict = run.judge(flags, mistakes)
            handler.listening = False
        except Cancelled as error:
            # It comes once at most, but at any moment: also while a mistake is being told.
            verdict = run.conclude(verdicts.from_error(error))
        run.report(verdict)
    return verdict.finding.exit_code


class _Run:
    """What is known of a run so far, and where it is said."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()
        self._parsed: Parsed = settings.Parsed(None, (), settings.Reports())
        self._github: GitHub | None = None
        self._terminal: Terminal | None = None
        self._console = Console(to_log)

    def judge(self, flags: Mapping[str, Sequence[str]], mistakes: Sequence[str]) -> Verdict:
        """The verdict, whatever happens: the one place where errors and bugs become exit codes.

        Raises:
            Cancelled: the process was told to stop while nothing was being waited for.
        """
        try:
            return self.wait(self.parse(flags, mistakes))
        except Cancelled:
            raise
        except UsageError as error:
            return self.conclude(verdicts.from_error(error), mistakes=error.mistakes)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must get its verdict
            self.explain(error)
            return self.conclude(verdicts.from_bug(error))

    def parse(self, flags: Mapping[str, Sequence[str]], mistakes: Sequence[str]) -> Settings:
        """The settings. From here on the secrets are hidden and the reports are known.

        Raises:
            UsageError: there are mistakes.
        """
        self._know(settings.early(flags, self._env))
        # Nothing that might be started from here needs the key.
        os.environ.pop(settings.KEY_VARIABLE, None)
        parsed = settings.parse(flags, self._env, _read, mistakes)
        self._know(parsed)
        if parsed.settings is None:
            raise UsageError(parsed.mistakes)
        return parsed.settings

    def _know(self, parsed: Parsed) -> None:
        """Take in what is known of the run: hide the secrets, and open the log that was asked for."""
        self._parsed, hidden = parsed, self._parsed.secrets
        self._github = self._github or _github(self._env)
        if self._github:
            for secret in parsed.secrets:
                if secret not in hidden:
                    self._github.mask(secret)
        reports = parsed.reports
        self._terminal = None
        if not (self._github or reports.quiet) and sys.stderr.isatty() and self._env.get("TERM") != "dumb":
            from gate.reporters.terminal import Terminal

            self._terminal = Terminal(sys.stderr)
        self._console = Console(
            self._terminal.write if self._terminal else to_log,
            warn=self._github.warning if self._github else None,
            quiet=reports.quiet,
            verbose=reports.verbose,
        )

    def wait(self, asked: Settings) -> Verdict:
        """Wait for the pending scans, and judge what was seen."""
        from gate.threadfix.client import Client

        scrub = Scrubber(self._parsed.secrets)
        client = Client(asked.server, scrub, connections=len(asked.targets), trace=self._console.requested)
        group = self._github.group("Waiting for ThreadFix") if self._github else nullcontext()
        deadline = Deadline.after(asked.plan.timeout, time.monotonic)
        stop = threading.Event()

        def fatal(history: History) -> bool:
            return asked.fail_fast and verdicts.judge_scan(history, asked).finding.kind is Kind.FAIL

        with group, self._terminal or nullcontext():
            self._console.opening(asked, datetime.now(UTC) + timedelta(seconds=asked.plan.timeout))
            histories, cancelled = wait_all(
                [_builder(client, asked, deadline, stop, target) for target in asked.targets],
                stop=stop,
                listen=self._console.hear,
                tick=self._tick,
                fatal=fatal,
            )
        client.close()
        scans = tuple(verdicts.judge_scan(history, asked, cancelled) for history in histories)
        finding = verdicts.conclude(scans)
        return self.conclude(finding, scans, resume=asked.resume if finding.reason in verdicts.RESUMABLE else "")

    def conclude(
        self,
        finding: Finding,
        scans: tuple[ScanVerdict, ...] = (),
        *,
        resume: str = "",
        mistakes: tuple[str, ...] = (),
    ) -> Verdict:
        """The finished verdict."""
        return verdicts.Verdict(
            finding=finding,
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            elapsed=time.monotonic() - self._started,
            scans=scans,
            server=self._parsed.server,
            resume=resume,
            decider=verdicts.decide(scans) if scans else None,
            mistakes=mistakes,
            result_file=self._parsed.reports.result_file or "",
        )

    def explain(self, error: BaseException) -> None:
        """Put the traceback of a bug into the log, without secrets."""
        import traceback

        scrub = Scrubber(self._parsed.secrets)
        for line in "".join(traceback.format_exception(error)).splitlines():
            self._console.line(scrub.redact(line))

    def report(self, verdict: Verdict) -> None:
        """Write every report that was asked for. One that fails is said loudly, and the others are still written."""
        for name, write in self._reporters(verdict):
            try:
                write()
            except Exception as error:  # noqa: BLE001 - no reporter may change the verdict, or keep another from its work
                why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
                self._console.warning(f"{name} could not be written ({why}). The verdict stands.", loud=True)
        self._console.closing(verdict)

    def _reporters(self, verdict: Verdict) -> Iterator[tuple[str, Callable[[], None]]]:
        """What each report is called, and what writes it."""
        reports, github = self._parsed.reports, self._github
        if reports.result_file:
            yield f"--result-file {reports.result_file}", lambda: _write_result(verdict, reports.result_file or "")
        if reports.junit_file:
            yield f"--junit-file {reports.junit_file}", lambda: _write_junit(verdict, reports.junit_file or "")
        if reports.dotenv_file:
            yield f"--dotenv-file {reports.dotenv_file}", lambda: _write_dotenv(verdict, reports.dotenv_file or "")
        if reports.html_file:
            yield f"--html-file {reports.html_file}", lambda: _write_html(verdict, reports.html_file or "")
        if reports.json:
            yield "--json", lambda: _print_result(verdict)
        if github:
            yield "the step's outputs", lambda: github.outputs(verdict)
            if reports.summary:
                yield "the job summary", lambda: github.summary(verdict)
            yield "the annotation", lambda: github.verdict(verdict)

    def _tick(self) -> None:
        self._console.tick()
        if self._terminal:
            self._terminal.draw(self._console.progress)


def _builder(
    client: Client, asked: Settings, deadline: Deadline, stop: threading.Event, target: Target
) -> Callable[[Callable[[Event], None]], Wait]:
    def build(listen: Callable[[Event], None]) -> Wait:
        return Wait(
            target,
            observe=lambda budget: client.observe(target, budget),
            settled=asked.rules.settled,
            plan=asked.plan,
            deadline=deadline,
            sleep=stop.wait,
            jitter=lambda: random.uniform(-1, 1),  # noqa: S311 - no secret depends on it
            listen=listen,
        )

    return build


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


def _write_result(verdict: Verdict, path: str) -> None:
    from gate.reporters import files, result

    files.write_whole(path, result.render(verdict))


def _write_junit(verdict: Verdict, path: str) -> None:
    from gate.reporters import files, junit

    files.write_whole(path, junit.render(verdict))


def _write_dotenv(verdict: Verdict, path: str) -> None:
    from gate.reporters import files, gitlab

    files.write_whole(path, gitlab.render(verdict))


def _write_html(verdict: Verdict, path: str) -> None:
    from gate.reporters import files, html

    files.write_whole(path, html.render(verdict))


def _print_result(verdict: Verdict) -> None:
    from gate.reporters import result

    sys.stdout.write(result.render(verdict))
    sys.stdout.flush()
