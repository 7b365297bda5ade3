"""The log and the JSON document of `doctor`."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from gate import __version__
from gate.model.reasons import Reason, Word
from gate.reporters.closing import LineKind
from gate.reporters.streams import print_whole
from gate.text.wording import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.reporters.console import Console

SCHEMA_VERSION: Final = 1
"""Of the JSON document, `docs/doctor.schema.json`."""


class State(Word):
    """The result of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Outcome(NamedTuple):
    """The result of a step. The message is safe; the hint is a template of `gate.text.wording`."""

    state: State
    message: str
    hint: str = ""
    reason: Reason | None = None  # of a failed step, for the exit code


passed = partial(Outcome, State.PASSED)
skipped = partial(Outcome, State.SKIPPED)

MARKS: Final = {
    State.PASSED: ("✓", LineKind.CHECK_PASSED),
    State.FAILED: ("✗", LineKind.CHECK_FAILED),
    State.SKIPPED: ("–", LineKind.PLAIN),
}
PLAIN: Final = str.maketrans({"✓": "+", "✗": "x", "–": "-", "→": ">"})
"""For a log in an encoding without them, as on Windows."""


def log(console: Console, name: str, outcome: Outcome) -> None:
    """Log the outcome of a step; a failed step also in a quiet log."""
    (mark, kind), arrow = MARKS[outcome.state], "→"
    try:
        (mark + arrow).encode(sys.stderr.encoding)
    except UnicodeEncodeError:
        mark, arrow = mark.translate(PLAIN), arrow.translate(PLAIN)
    always = outcome.state is State.FAILED
    for line in outcome.message.splitlines():
        console.line(f"{mark} {name:<12}  {line}", kind, indent=16, always=always)
        mark = name = " "
    if outcome.hint:
        console.line(f"{'':<14}  {arrow} {outcome.hint}", indent=18, always=always)


def last_line(outcomes: Mapping[str, Outcome], reason: Reason | None, exit_code: int) -> str:
    """Return the last line of the log."""
    states = [outcome.state for outcome in outcomes.values()]
    summary = ", ".join(f"{states.count(state)} {state}" for state in State)
    return f"NOT OK ({reason}, exit code {exit_code}): {summary}." if reason else f"OK: {summary}."


def print_document(
    outcomes: Mapping[str, Outcome], reason: Reason | None, exit_code: int, server: str, started_at: datetime
) -> None:
    """Write the JSON document to standard output; raise `OSError` if it cannot be written."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "gate_version": __version__,
        "ok": reason is None,
        "reason": reason,
        "exit_code": exit_code,
        "server": server or None,
        "checks": [
            {"name": name, **outcome._asdict(), "hint": outcome.hint or None} for name, outcome in outcomes.items()
        ],
        "started_at": timestamp(started_at),
        "finished_at": timestamp(datetime.now(timezone.utc)),
    }
    print_whole(f"{json.dumps(document, indent=2)}\n")
