"""The tree of errors. Each has a reason, with its exit code and advice (`gate.model.reasons`).

GateError
├── UsageError         usage        options are missing, wrong or contradict each other
├── OutOfThreadsError  unreachable  the system starts no thread
└── Cancelled          cancelled    SIGINT or SIGTERM

A failed poll is not an error but a value, `gate.model.history.Failure`, for the wait to judge.
Every other exception is a bug and ends as `internal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gate.model.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class InvalidOption:
    """An option that is missing, wrong or contradicts another option. Meaning and advice default to the usual texts."""

    option: str | None  # its label, such as `--timeout`, or `THREADFIX_API_KEY` for the key; None without an option
    text: str  # the flaw and an example, in a sentence that names the option; safe once it is in `Parsed`
    meaning: str | None = None  # the consequence for the person at the red build
    advice: str | None = None  # the next step, a template of `gate.text.wording`

    def __str__(self) -> str:
        return self.text


class GateError(Exception):
    """An error that ends the gate before any response. Without hint and meaning, those of the reason apply."""

    reason: ClassVar[Reason]
    hint: str | None = None
    meaning: str | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the process."""
        return self.reason.row.exit_code


class UsageError(GateError):
    """Options are missing, wrong or contradict each other."""

    reason = Reason.USAGE

    def __init__(self, invalid: Sequence[InvalidOption]) -> None:
        """Take the advice and the meaning of the invalid options if all have the same."""
        self.invalid = tuple(invalid)
        hints, meanings = {option.advice for option in invalid}, {option.meaning for option in invalid}
        self.hint = hints.pop() if len(hints) == 1 else None
        self.meaning = meanings.pop() if len(meanings) == 1 else None
        super().__init__(" ".join(map(str, invalid)))


class OutOfThreadsError(GateError):
    """The system starts no thread."""

    reason = Reason.UNREACHABLE
    hint = (
        "Raise the limit on processes and threads for this user or container (ulimit -u, pids.max), or run fewer "
        "jobs at the same time; then run the gate again."
    )

    def __init__(self) -> None:
        super().__init__("this machine let the gate start no thread to ask ThreadFix in")


class Cancelled(GateError):  # noqa: N818 - the usual word, and not an error
    """The gate was stopped by a signal."""

    reason = Reason.CANCELLED
    meaning = "The job was stopped before the gate could determine anything about a scan."
    hint = "Run the gate again."

    def __init__(self, signal_number: int) -> None:
        self.signal_number = signal_number
        super().__init__(f"stopped by signal {signal_number}")

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as in shells."""
        return 128 + self.signal_number
