"""One run of the gate: parse → ask → wait → judge → report. Wires the rooms together; decides nothing itself."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gate.flow.context import CommandContext
from gate.judge.checks import CheckVerdict
from gate.judge.conclusions import from_bug, from_error, name_options
from gate.judge.scans import ScanVerdict
from gate.judge.uploads import UploadVerdict
from gate.judge.verdict import Verdict
from gate.model import build
from gate.model.errors import GateError, UsageError
from gate.reporters.reports import REPORTS, Destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.flow.stages import Outcome
    from gate.judge.conclusions import Conclusion
    from gate.model.errors import InvalidOption
    from gate.options.settings import Settings
    from gate.reporters.github import GitHub
    from gate.reporters.reports import Report

P = TypeVar("P", ScanVerdict, UploadVerdict, CheckVerdict)


def run_gate(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    signals: Signals,
    invalid: Sequence[InvalidOption] = (),
    *,
    in_sandbox: bool = False,
) -> int:
    """Run the gate; return the exit code.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        signals: the signal that stops the gate.
        invalid: the invalid options of the command line itself.
        in_sandbox: whether the server stops with this run, so that no other run can keep waiting.
    """
    run = _Run(env, signals, in_sandbox=in_sandbox)
    verdict = run.judge(flags, invalid)
    signals.exit_code = verdict.conclusion.exit_code
    run.report(verdict)
    return verdict.conclusion.exit_code


class _Run:
    """One run, from its options to its reports."""

    def __init__(self, env: Mapping[str, str], signals: Signals, *, in_sandbox: bool) -> None:
        self._env = env
        self._in_sandbox = in_sandbox
        self._context = CommandContext(env, signals)
        self._started_at = datetime.now(timezone.utc)
        self._started = time.monotonic()

    def judge(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> Verdict:
        """Return the verdict, also after an error or a bug."""
        try:
            return self.run(self._context.parse(flags, invalid))
        except UsageError as error:
            return self.conclude(from_error(error), mistakes=error.invalid)
        except GateError as error:
            return self.conclude(from_error(error))
        except BaseException as error:  # noqa: BLE001 - also `SystemExit`: the job must get its verdict
            self._context.explain(error)
            return self.conclude(from_bug(error))

    def run(self, settings: Settings) -> Verdict:
        """Go through the stages, and finish the verdict."""
        # The clock of the wait runs from the start, because an input may have been slow.
        left = max(0.0, settings.plan.timeout - (time.monotonic() - self._started))
        from gate.flow.stages import Stages

        outcome = Stages(settings, self._context, left, in_sandbox=self._in_sandbox).run()
        return self.conclude(outcome.conclusion, outcome)

    def conclude(
        self, conclusion: Conclusion, outcome: Outcome | None = None, *, mistakes: tuple[InvalidOption, ...] = ()
    ) -> Verdict:
        """Return the finished verdict."""
        naming, settings = self._context.naming, self._context.parsed.settings

        def named(parts: Iterable[P]) -> tuple[P, ...]:
            return tuple(replace(part, conclusion=name_options(part.conclusion, naming)) for part in parts)

        return Verdict(
            conclusion=name_options(conclusion, naming),
            started_at=self._started_at,
            finished_at=datetime.now(timezone.utc),
            elapsed=time.monotonic() - self._started,
            scans=named(outcome.scans) if outcome else (),
            ended_uploads=named(outcome.ended_uploads) if outcome else (),
            checks=named(outcome.checks) if outcome else (),
            uploads=outcome.uploads if outcome else (),
            application_id=outcome.application_id if outcome else None,
            naming=naming,
            server=self._context.parsed.origin,
            resume=outcome.resume if outcome else "",
            replaced=settings.replaced if settings else (),
            mistakes=mistakes,
            result_file=self._context.parsed.reports.result_file or "",
            build=build.current(self._env, self._context.sanitizer),
        )

    def report(self, verdict: Verdict) -> None:
        """Write the requested reports, and last the log, so that an unread log delays no report.

        A report that cannot be written gets a warning, also with --quiet, and the others are still written.
        """
        for name, write in self._reporters(verdict):
            try:
                write()
            except BaseException as error:  # noqa: BLE001 - no reporter may change the verdict, or keep another from its work
                cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
                self._context.console.warning(f"{name} could not be written ({cause}). The verdict stands.")
        self._context.console.closing(verdict)
        self._context.log.close()

    def _reporters(self, verdict: Verdict) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield the name of each report and the function that writes it."""
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
    from gate.reporters.reports import write_atomic

    write_atomic(path, report.render(verdict))


def _print(report: Report, verdict: Verdict) -> None:
    from gate.reporters.streams import print_whole

    print_whole(report.render(verdict))


def _summarize(github: GitHub, report: Report, verdict: Verdict) -> None:
    github.summary(report.render(verdict))
