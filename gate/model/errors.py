"""The tree of errors. Each has a reason, with its exit code and hint (`gate.model.reasons`).

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
    """An option that is missing, wrong or contradicts another option."""

    option: str | None
    """Its label, such as `--timeout`, or `THREADFIX_API_KEY` for the key; None without an option."""
    text: str
    """The flaw and an example, in a sentence that names the option; safe once it is in `Parsed`."""
    meaning: str | None = None
    """The meaning; None for that of invalid options in general."""
    advice: str | None = None
    """The advice, a template of `gate.text.naming`; None for that of invalid options in general."""

    def __str__(self) -> str:
        return self.text


class GateError(Exception):
    """An error that ends the gate before any response."""

    reason: ClassVar[Reason]

    @property
    def exit_code(self) -> int:
        """The exit code that this error ends the process with."""
        return self.reason.row.exit_code

    @property
    def hint(self) -> str:
        """The advice, a template of `gate.text.naming`."""
        return self.reason.row.advice

    @property
    def meaning(self) -> str | None:
        """The meaning; None for that of the reason."""
        return None


class UsageError(GateError):
    """Options are missing, wrong or contradict each other."""

    reason = Reason.USAGE

    def __init__(self, invalid: Sequence[InvalidOption]) -> None:
        """Keep every invalid option."""
        self.invalid = tuple(invalid)
        super().__init__(" ".join(map(str, self.invalid)))

    @property
    def hint(self) -> str:
        """The advice: the options' own if all have the same."""
        (first, *others) = {one.advice for one in self.invalid}
        return super().hint if others or first is None else first

    @property
    def meaning(self) -> str | None:
        """The meaning: the options' own if all have the same."""
        (first, *others) = {one.meaning for one in self.invalid}
        return None if others else first


class OutOfThreadsError(GateError):
    """The system starts no thread."""

    reason = Reason.UNREACHABLE

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("this machine let the gate start no thread to ask ThreadFix in")

    @property
    def hint(self) -> str:
        """The advice names the limit."""
        return (
            "Raise the limit on processes and threads for this user or container (ulimit -u, pids.max), or run fewer "
            "jobs beside it; then run the gate again."
        )


class Cancelled(GateError):  # noqa: N818 - the usual word, and not an error
    """There was a signal."""

    reason = Reason.CANCELLED

    def __init__(self, signal_number: int) -> None:
        """Keep the number of the signal, such as 15 for SIGTERM."""
        self.signal_number = signal_number
        super().__init__(f"stopped by signal {signal_number}")

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells count."""
        return 128 + self.signal_number
