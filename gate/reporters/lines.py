"""A line of the log as data: its text and what kind of line it is. Colour and wrapping are a terminal's matter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class LineKind(Enum):
    """What a line is."""

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
    """One line; its text is safe (`gate.text.log_line`).

    Attributes:
        text: as it stands in a log.
        kind: what it is. A command is never wrapped, so that it can be copied.
        indent: blanks in front of what follows, where it is wrapped.
    """

    text: str
    kind: LineKind = LineKind.PLAIN
    indent: int = 2
