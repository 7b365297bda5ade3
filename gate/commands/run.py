"""One run of the gate: parse → ask → wait → judge → report. Wires the rooms together; decides nothing itself."""

from __future__ import annotations

import random
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from gate import build, signals
from gate import verdict as verdicts
from gate.commands.context import CommandContext
from gate.errors import Cancelled, GateError, UsageError
from gate.reasons import Kind
from gate.reporters.reports import REPORTS, Destination
from gate.waiting import Deadline, Schedule, Wait, wait_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gate.errors import InvalidOption
    from gate.history import ScanHistory
    from gate.reporters.github import GitHub
    from gate.reporters.reports import Report
    from gate.settings import Settings
    from gate.signals import Signals
    from gate.verdict import Conclusion, ScanVerdict, Verdict

SANDBOX_ADVICE: Final = (
    "Nothing: the sandbox has stopped, and its scans are gone. With your own ThreadFix, the command to keep waiting is "
    "printed here."
)


def run_gate(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    invalid: Sequence[InvalidOption] = (),
    *,
    in_sandbox: bool = False,
) -> int:
    """Run the gate; the exit code.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        invalid: what is wrong with the command line itself.
        in_sandbox: whether the server stops with this run, so that nobody can keep waiting afterwards.
    """
    with signals.handled() as handler:
        run = _Run(env, in_sandbox=in_sandbox)
        try:
            verdict = run.judge(flags, invalid, handler)
            handler.decided(verdict.conclusion.exit_code)
        except Cancelled as error:
            # It comes once at most, but at any moment: also while an invalid option is being reported.
            verdict = run.conclude(verdicts.from_error(error))
        run.report(verdict, handler)
    return verdict.conclusion.exit_code


class _Run:
    """One run, from its options to its reports."""

    def __init__(self, env: Mapping[str, str], *, in_sandbox: bool) -> None:
        self._env = env
        self._in_sandbox = in_sandbox
        self._context = CommandContext(env)
        self._started_at = datetime.now(UTC)
        self._started = time.monotonic()

    def judge(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption], handler: Signals) -> Verdict:
        """The verdict, whatever happens: the one place where errors and bugs become exit codes.

        Raises:
            Cancelled: the process was told to stop while nothing was being waited for.
        """
        try:
            return self.wait(self._context.parse(flags, invalid, handler))
        except Cancelled:
            raise
        except UsageError as error:
            return self.conclude(verdicts.from_error(error), mistakes=error.invalid)
        except GateError as error:
            return self.conclude(verdicts.from_error(error))
        except BaseException as error:  # noqa: BLE001 - whatever it is, also `SystemExit`: the job must get its verdict
            self._context.explain(error)
            return self.conclude(verdicts.from_bug(error))

    def wait(self, settings: Settings) -> Verdict:
        """Wait for the pending scans, and judge what was seen."""
        # The clock of the wait runs from the start: what was read may have come slowly.
        left = max(0.0, settings.plan.timeout - (time.monotonic() - self._started))
        from gate.threadfix.client import Client

        context, console = self._context, self._context.console
        client = Client(settings.server, context.sanitizer, trace=console.requested)
        group = context.github.group("Waiting for ThreadFix") if context.github else nullcontext()
        stop = threading.Event()
        schedule = Schedule(
            plan=settings.plan,
            deadline=Deadline.after(left, time.monotonic),
            sleep=stop.wait,
            jitter=lambda: random.uniform(-1, 1),  # noqa: S311 - no secret depends on it
        )
        waits = [
            Wait(target, observe=partial(client.observe, target), settled=settings.rules.settled, schedule=schedule)
            for target in settings.targets
        ]

        def fatal(history: ScanHistory) -> bool:
            return settings.fail_fast and verdicts.judge_scan(history, settings).conclusion.kind is Kind.FAIL

        def tick(histories: Sequence[ScanHistory]) -> None:
            progress = console.progress(histories)
            console.tick(progress)
            if context.terminal:
                context.terminal.draw(progress)

        with group, context.terminal or nullcontext():
            console.opening(settings, datetime.now(UTC) + timedelta(seconds=left))
            histories, cancelled = wait_all(waits, stop=stop, notify=console.handle, tick=tick, fatal=fatal)
        client.http.close()
        scans = tuple(verdicts.judge_scan(history, settings, cancelled) for history in histories)
        conclusion = verdicts.conclude(scans)
        if conclusion.reason not in verdicts.RESUMABLE:
            return self.conclude(conclusion, scans)
        if self._in_sandbox:
            return self.conclude(replace(conclusion, hint=SANDBOX_ADVICE), scans)
        return self.conclude(conclusion, scans, resume=settings.resume)

    def conclude(
        self,
        conclusion: Conclusion,
        scans: tuple[ScanVerdict, ...] = (),
        *,
        resume: str = "",
        mistakes: tuple[InvalidOption, ...] = (),
    ) -> Verdict:
        """The finished verdict."""
        naming = self._context.naming
        return verdicts.Verdict(
            conclusion=verdicts.name_options(conclusion, naming),
            started_at=self._started_at,
            finished_at=datetime.now(UTC),
            elapsed=time.monotonic() - self._started,
            scans=tuple(replace(scan, conclusion=verdicts.name_options(scan.conclusion, naming)) for scan in scans),
            naming=naming,
            server=self._context.parsed.origin,
            resume=resume,
            mistakes=mistakes,
            result_file=self._context.parsed.reports.result_file or "",
            build=build.current(self._env, self._context.sanitizer),
        )

    def report(self, verdict: Verdict, handler: Signals) -> None:
        """Write every report that was asked for, and last the log, so that a log that nobody reads delays no report.

        One that cannot be written is warned of, also with --quiet, and the others are still written.
        """
        for name, write in self._reporters(verdict):
            try:
                write()
                handler.written()
            except BaseException as error:  # noqa: BLE001 - no reporter may change the verdict, or keep another from its work
                cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
                self._context.console.warning(
                    f"{name} could not be written ({cause}). The verdict stands.", always=True
                )
        self._context.console.closing(verdict)
        self._context.log.close()

    def _reporters(self, verdict: Verdict) -> Iterator[tuple[str, Callable[[], None]]]:
        """What each report is called, and what writes it."""
        github = self._context.github
        if github:
            yield "the step's outputs", partial(github.outputs, verdict)
        for report in REPORTS:
            value = getattr(self._context.parsed.reports, report.option.replace("-", "_"))
            if value and report.destination is Destination.FILE:
                yield f"--{report.option} {value}", partial(_write, value, report, verdict)
            elif value and report.destination is Destination.STANDARD_OUTPUT:
                yield f"--{report.option}", partial(_print, report, verdict)
            elif value and github:
                yield report.name, partial(_summarize, github, report, verdict)
        if github:
            yield "the annotation", partial(github.verdict, verdict)


def _write(path: str, report: Report, verdict: Verdict) -> None:
    from gate.reporters.files import write_atomic

    write_atomic(path, report.render(verdict))


def _print(report: Report, verdict: Verdict) -> None:
    from gate.reporters.streams import print_whole

    print_whole(report.render(verdict))


def _summarize(github: GitHub, report: Report, verdict: Verdict) -> None:
    github.summary(report.render(verdict))
