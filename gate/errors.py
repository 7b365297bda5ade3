"""The tree of errors. Each knows its reason, and with it the exit code and the hint (`gate.reasons`).

GateError
├── UsageError         usage        options are missing, wrong or contradict each other; carries every mistake
├── OutOfThreadsError  unreachable  this machine lets the gate start no thread to ask in
└── Cancelled          cancelled    SIGINT or SIGTERM

Trouble with the server is not an error but a value, `gate.history.Trouble`: the wait decides what becomes of it.
Every other exception is a bug and ends as `internal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from gate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence


class GateError(Exception):
    """Something that ends the gate before ThreadFix was heard."""

    reason: ClassVar[Reason]

    @property
    def exit_code(self) -> int:
        """The exit code that this error ends the process with."""
        return self.reason.row.exit_code

    @property
    def hint(self) -> str:
        """What to do next, in a sentence."""
        return self.reason.row.advice


class UsageError(GateError):
    """Options are missing, wrong or contradict each other."""

    reason = Reason.USAGE

    def __init__(self, mistakes: Sequence[str]) -> None:
        """Keep every mistake: one sentence each, naming the option and what would be right."""
        self.mistakes = tuple(mistakes)
        super().__init__(" ".join(self.mistakes))


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
