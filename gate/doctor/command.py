"""The command `doctor`: which step between this machine and the pending scan fails, and what to do. Changes nothing."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gate import __version__
from gate.doctor.checks import CHECKS, OPTION_CHECKS, Check, Outcome, State, passed, skipped
from gate.doctor.probe import Connection
from gate.flow.context import CommandContext
from gate.model.errors import GateError, UsageError
from gate.model.reasons import Reason
from gate.options.table import URL
from gate.reporters.closing import LineKind
from gate.reporters.streams import print_whole
from gate.text.wording import timestamp
from gate.threadfix.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gate.flow.signals import Signals
    from gate.model.errors import InvalidOption
    from gate.net.http import RequestMade
    from gate.options.parsing import Parsed
    from gate.options.settings import Settings

SCHEMA_VERSION: Final = 1
"""Of the JSON document, `docs/doctor.schema.json`."""
MARKS: Final = {State.PASSED: "✓", State.FAILED: "✗", State.SKIPPED: "–"}
LINE_KINDS: Final = {
    State.PASSED: LineKind.CHECK_PASSED,
    State.FAILED: LineKind.CHECK_FAILED,
    State.SKIPPED: LineKind.PLAIN,
}
ARROW: Final = "→"
PLAIN: Final = str.maketrans({"✓": "+", "✗": "x", "–": "-", "→": ">"})
"""For a log in an encoding without them, as on Windows."""


def run_doctor(
    flags: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    signals: Signals,
    invalid: Sequence[InvalidOption] = (),
) -> int:
    """Make every check; return the exit code of the first check that fails, or 0.

    Args:
        flags: the command line's values by option name; a switch has `true` or `false`.
        env: the environment.
        signals: the signal that stops the process.
        invalid: the invalid options of the command line itself.
    """
    run = _DoctorRun(env, signals)
    run.examine(flags, invalid)
    return run.conclude()


def _check_options(parsed: Parsed, invalid: Sequence[InvalidOption]) -> tuple[Outcome, Outcome]:
    """Whether the URL is valid, and whether the other options are."""
    about_url = [one.text for one in invalid if one.option == URL.label]
    others = [one.text for one in invalid if one.option != URL.label]
    url = parsed.settings.server.url if parsed.settings else parsed.origin
    hint = ""
    if parsed.settings and not urlsplit(url).path:
        hint = "ThreadFix usually has a context path, such as /threadfix; if yours has one, add it."
    if parsed.settings and parsed.settings.server.allow_http and url.startswith("http:"):
        hint = "{--allow-http}: the API key is sent unencrypted."
    return _invalid(about_url) or passed(url, hint), _invalid(others) or passed("complete and consistent.")


def _invalid(sentences: Iterable[str]) -> Outcome | None:
    """Return the outcome of invalid options; None without any."""
    message = " ".join(sentences)
    hint = "{@help}."
    return Outcome(State.FAILED, message, hint, Reason.USAGE) if message else None


class _DoctorRun:
    """The outcomes so far, and their log."""

    def __init__(self, env: Mapping[str, str], signals: Signals) -> None:
        self._ended_by: tuple[Reason, int] | None = None
        self._signals = signals
        self._context = CommandContext(env, signals)
        self._outcomes: dict[str, Outcome] = {}
        self._blocked: set[str] = set()

    def examine(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> None:
        """Make every check, also after a bug."""
        try:
            self._check(flags, invalid)
        except GateError as error:
            self._ended_by = (error.reason, error.exit_code)
            self._context.write_line(f"{error}.")
        except BaseException as error:  # noqa: BLE001 - no error may show the key
            self._ended_by = (Reason.INTERNAL, Reason.INTERNAL.row.exit_code)
            self._context.explain(error)

    def conclude(self) -> int:
        """Write the JSON and the last line; return the exit code."""
        for name in (*OPTION_CHECKS, *(check.name for check in CHECKS)):
            self._outcomes.setdefault(name, skipped("skipped, because the run ended before."))
        failures = (outcome.reason for outcome in self._outcomes.values() if outcome.state is State.FAILED)
        failure = next(failures, None)
        reason, exit_code = self._ended_by or (failure, failure.row.exit_code if failure else 0)
        self._signals.exit_code = exit_code
        if self._context.parsed.reports.json:
            try:
                print_whole(f"{json.dumps(self._document(reason, exit_code), indent=2)}\n")
            except OSError as error:
                self._context.write_line(
                    f"warning: --json could not be written ({error.strerror}). The checks still count."
                )
        states = [outcome.state for outcome in self._outcomes.values()]
        summary = ", ".join(f"{states.count(state)} {state}" for state in State)
        self._context.write_line(
            f"NOT OK ({reason}, exit code {exit_code}): {summary}." if reason else f"OK: {summary}."
        )
        self._context.log.close()
        return exit_code

    def _check(self, flags: Mapping[str, Sequence[str]], invalid: Sequence[InvalidOption]) -> None:
        settings: Settings | None = None
        wrong: tuple[InvalidOption, ...] = ()
        try:
            settings = self._context.parse(flags, invalid, needs_scan=False)
        except UsageError as error:
            wrong = error.invalid
        self._context.console.line(f"threadfix-gate {__version__}: checking the connection to ThreadFix (read-only)")
        for name, outcome in zip(OPTION_CHECKS, _check_options(self._context.parsed, wrong), strict=True):
            self._record(name, outcome)
        if settings is None:
            return
        sanitizer = self._context.sanitizer
        requests: list[RequestMade] = []

        def trace(request: RequestMade) -> None:
            requests.append(request)
            self._context.console.requested(request)

        client = Client(settings.server, sanitizer, trace=trace)
        with closing(Connection(settings, client, requests)) as connection:
            for check in CHECKS:
                blocker = self._blocker(check)
                outcome = blocker or self._signals.call(partial(check.run, connection, sanitizer))
                self._record(check.name, outcome)

    def _blocker(self, check: Check) -> Outcome | None:
        """Return the outcome of a check that needs a failed or blocked check; None for any other check."""
        for name in check.needs:
            if name in self._blocked:
                self._blocked.add(check.name)
                return self._outcomes[name]
            if self._outcomes[name].state is State.FAILED:
                self._blocked.add(check.name)
                return skipped(f"skipped, because {name} failed.")
        return None

    def _record(self, name: str, outcome: Outcome) -> None:
        outcome = replace(outcome, hint=self._context.naming.fill(outcome.hint))
        self._outcomes[name] = outcome
        always = outcome.state is State.FAILED
        mark, arrow = MARKS[outcome.state], ARROW
        if not _can_show(mark + arrow):
            mark, arrow = mark.translate(PLAIN), arrow.translate(PLAIN)
        line = self._context.console.line
        line(f"{mark} {name:<12}  {outcome.message}", LINE_KINDS[outcome.state], indent=16, always=always)
        if outcome.hint:
            line(f"{'':<14}  {arrow} {outcome.hint}", indent=18, always=always)

    def _document(self, reason: Reason | None, exit_code: int) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "gate_version": __version__,
            "ok": reason is None,
            "reason": reason,
            "exit_code": exit_code,
            "server": self._context.parsed.origin or None,
            "checks": [
                {
                    "name": name,
                    "state": outcome.state,
                    "message": outcome.message,
                    "hint": outcome.hint or None,
                    "reason": outcome.reason,
                }
                for name, outcome in self._outcomes.items()
            ],
            "started_at": timestamp(self._context.started_at),
            "finished_at": timestamp(datetime.now(timezone.utc)),
        }


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        return False
    return True
