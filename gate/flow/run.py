"""One run of the gate: parse the options, go through the stages, report the verdict."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gate.flow.context import CommandContext
from gate.judge.checks import CheckVerdict
from gate.judge.conclusions import from_bug, from_error, name_options
from gate.judge.scans import ScanVerdict, UploadVerdict
from gate.model.reasons import GateError, UsageError
from gate.reporters.closing import LineKind
from gate.reporters.reports import REPORTS, Destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.judge.verdict import Verdict
    from gate.model.reasons import InvalidOption
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
    context = CommandContext(env, signals)
    verdict = _fill_in_options(_judge(context, flags, invalid, in_sandbox=in_sandbox))
    signals.exit_code = verdict.conclusion.exit_code
    _report(context, verdict)
    return verdict.conclusion.exit_code


def _judge(
    context: CommandContext,
    flags: Mapping[str, Sequence[str]],
    invalid: Sequence[InvalidOption],
    *,
    in_sandbox: bool,
) -> Verdict:
    """Return the verdict, also after an error or a bug."""
    try:
        settings = context.parse(flags, invalid)
        from gate.flow.stages import Stages

        return Stages(settings, context, in_sandbox=in_sandbox).run()
    except UsageError as error:
        return replace(context.verdict(from_error(error)), invalid=error.invalid)
    except GateError as error:
        return context.verdict(from_error(error))
    except BaseException as error:  # noqa: BLE001 - also `SystemExit`: the job must get its verdict
        context.explain(error)
        return context.verdict(from_bug(error))


def _fill_in_options(verdict: Verdict) -> Verdict:
    """Return a verdict with the names of options in its texts, which are templates before."""

    def filled(parts: Iterable[P]) -> tuple[P, ...]:
        return tuple(replace(part, conclusion=name_options(part.conclusion, verdict.naming)) for part in parts)

    return replace(
        verdict,
        conclusion=name_options(verdict.conclusion, verdict.naming),
        scans=filled(verdict.scans),
        ended_uploads=filled(verdict.ended_uploads),
        checks=filled(verdict.checks),
    )


def _report(context: CommandContext, verdict: Verdict) -> None:
    """Write the requested reports, and the log last, so that an unread log delays no report.

    A report that cannot be written gets a warning, also with --quiet, and the others are still written.
    """
    for name, write in _reporters(context, verdict):
        try:
            if notice := write():
                context.console.warning(notice, LineKind.NOTICE)
        except BaseException as error:  # noqa: BLE001 - no reporter may change the verdict, or stop another reporter
            cause = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            context.console.warning(f"{name} could not be written ({cause}). The verdict stands.")
    context.console.closing(verdict)
    context.log.close()


def _reporters(context: CommandContext, verdict: Verdict) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Yield the name of each report, and the function that writes it and returns a notice about what it left out."""
    github = context.github
    if github:
        yield "the step's outputs", partial(github.outputs, verdict)
    for report in REPORTS:
        value = context.parsed.reports.requested.get(report.option)
        if isinstance(value, str):
            yield f"--{report.option} {value}", partial(_write, value, report, verdict)
        elif value and report.destination is Destination.STANDARD_OUTPUT:
            yield f"--{report.option}", partial(_print, report, verdict)
        elif value and github:
            yield report.name, partial(_summarize, github, report, verdict)
    if github:
        yield "the annotation", partial(github.verdict, verdict)


def _write(path: str, report: Report, verdict: Verdict) -> str:
    from gate.reporters.reports import write_atomic

    write_atomic(path, report.render(verdict))
    return report.notice(verdict)


def _print(report: Report, verdict: Verdict) -> None:
    from gate.reporters.streams import print_whole

    print_whole(report.render(verdict))


def _summarize(github: GitHub, report: Report, verdict: Verdict) -> None:
    github.summary(report.render(verdict))
