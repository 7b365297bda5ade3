"""The tree of errors. Each knows its reason, and with it the exit code and the hint (`gate.reasons`).

GateError
├── UsageError         usage        options are missing, wrong or contradict each other; carries each of them
├── OutOfThreadsError  unreachable  this machine lets the gate start no thread to ask in
└── Cancelled          cancelled    SIGINT or SIGTERM

A failed poll is not an error but a value, `gate.history.Failure`: the wait decides what becomes of it.
Every other exception is a bug and ends as `internal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class InvalidOption:
    """An option that is missing, wrong or contradicts another one."""

    option: str | None
    """Its label, such as `--timeout`, or `THREADFIX_API_KEY` for the key; None where it is no option's."""
    text: str
    """What is wrong and what would be right: a sentence that names the option; safe once it is in `Parsed`."""
    meaning: str | None = None
    """What it means, where that can be said better than for invalid options as such."""
    advice: str | None = None
    """What to do, likewise; a template of `gate.naming`."""

    def __str__(self) -> str:
        return self.text


class GateError(Exception):
    """Something that ends the gate before ThreadFix was heard."""

    reason: ClassVar[Reason]

    @property
    def exit_code(self) -> int:
        """The exit code that this error ends the process with."""
        return self.reason.row.exit_code

    @property
    def hint(self) -> str:
        """What to do next; a template of `gate.naming`."""
        return self.reason.row.advice

    @property
    def meaning(self) -> str | None:
        """What it means, where that can be said better than for the reason as a whole."""
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
        """What to do, which is the options' own advice where all have the same."""
        (first, *others) = {one.advice for one in self.invalid}
        return super().hint if others or first is None else first

    @property
    def meaning(self) -> str | None:
        """What it means, likewise."""
        (first, *others) = {one.meaning for one in self.invalid}
        return None if others else first


class OutOfThreadsError(GateError):
    """This machine lets the gate start no thread."""

    reason = Reason.UNREACHABLE

    def __init__(self) -> None:
        """Say so."""
        super().__init__("this machine let the gate start no thread to ask ThreadFix in")

    @property
    def hint(self) -> str:
        """Where the limit is."""
        return (
            "Raise the limit on processes and threads for this user or container (ulimit -u, pids.max), or run fewer "
            "jobs beside it; then run the gate again."
        )


class Cancelled(GateError):  # noqa: N818 - it is no error, and the field's word for it
    """The process was told to stop."""

    reason = Reason.CANCELLED

    def __init__(self, signal_number: int) -> None:
        """Keep which signal it was, e.g. 15 for SIGTERM."""
        self.signal_number = signal_number
        super().__init__(f"stopped by signal {signal_number}")

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells count."""
        return 128 + self.signal_number
