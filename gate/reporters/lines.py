"""Lines of the log as data. A terminal colours and wraps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LineKind(Enum):
    """The kind of a line."""

    PLAIN = "plain"
    PASS = "pass"  # noqa: S105 - the verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    CHECK_PASSED = "check passed"
    CHECK_FAILED = "check failed"
    WARNING = "warning"
    NOTICE = "notice"
    ADVICE = "advice"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Line:
    """A line; its text is safe (`gate.text.log_line`).

    Attributes:
        text: as a log shows it.
        kind: a command is never wrapped, so that it can be copied.
        indent: blanks before each further line, if it is wrapped.
    """

    text: str
    kind: LineKind = LineKind.PLAIN
    indent: int = 2
