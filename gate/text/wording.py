"""Format durations, counts, moments and our own sentences for people, and name options in them.

Advice is a template until the verdict is complete or a line is printed. A template is a constant of the gate and never
has text of a server in it. `Naming.fill` replaces:

- `{--timeout}` with `--timeout`, or the input `timeout`;
- `{--on-timeout warn}` with `--on-timeout warn`, or the input `on-timeout: warn`;
- `{@options}` with the phrase of `PHRASES`.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM: Final = "threadfix-gate"
ACTION_VARIABLE: Final = "THREADFIX_GATE_ACTION"  # set to 1 by the action
PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "options": ("options", "inputs"),
    "help": (
        "`threadfix-gate run --help` lists all options",
        "`action.yml` in the action's repository lists all inputs",
    ),
    "doctor": ("`threadfix-gate doctor` with the same options", "The action with `command: doctor`"),
}
"""Each phrase, for a command line and for the action."""
# Backticks around a name belong to it: an input always has them, a flag only if they are written.
_NAME: Final = re.compile(r"`?\{--(?P<name>[a-z-]+)(?: (?P<value>[A-Za-z0-9.]+))?\}`?|\{@(?P<phrase>[a-z ]+)\}")
QUOTE_LIMIT: Final = 80  # characters of the longest value that a message repeats
_STEP: Final = 1000
_KEY: Final = re.compile("[A-Za-z0-9]{32,}")  # may be a ThreadFix key that was meant for another option


def seconds(value: float) -> str:
    """Return a duration for people: `0.4s`, `8s`, `2m10s`, `1h03m`."""
    if value < 10:  # noqa: PLR2004
        return f"{round(value, 1):g}s"
    minutes, rest = divmod(round(value), 60)
    hours, past = divmod(minutes, 60)
    if hours:
        return f"{hours}h{past:02}m" if past else f"{hours}h"
    if minutes:
        return f"{minutes}m{rest:02}s" if rest else f"{minutes}m"
    return f"{rest}s"


def capitalized(text: str) -> str:
    """Return a sentence with a capital as its first letter."""
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 poll`, `2 polls`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(texts: Sequence[str], total: int, separator: str = ", ") -> str:
    """Return the texts, and the number of those that are left out of `total`."""
    more = total - len(texts)
    return separator.join(texts) + (f" and {more} more" if more > 0 else "")


def size(octets: float) -> str:
    """Return a size for people, in steps of a thousand: `1 byte`, `812 bytes`, `1.2 kB`, `34 MB`."""
    if octets < _STEP:
        return count(round(octets), "byte")
    value, unit = octets / _STEP, "kB"
    for larger in ("MB", "GB", "TB"):
        if round(value) < _STEP:
            break
        value, unit = value / _STEP, larger
    return f"{round(value, 1):g} {unit}" if value < 10 else f"{round(value)} {unit}"  # noqa: PLR2004


def utc(at: float) -> datetime | None:
    """Return the moment `at`, in seconds since the epoch; None if the calendar has no such day."""
    try:
        return datetime.fromtimestamp(at, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC for machines: RFC 3339, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: datetime) -> str:
    """Return a moment in UTC for people: `2026-01-02 03:04:05 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def instant(at: float | None) -> str:
    """Return a moment, in seconds since the epoch, for people; empty if unknown."""
    date = None if at is None else utc(at)
    return moment(date) if date else ""


def plain(markdown: str) -> str:
    """Return our own sentence without its Markdown marks, for plain text."""
    return markdown.replace("`", "").replace("*", "")


def quoted(value: str) -> str:
    """Return a value in quotes, or only its length if it is long."""
    # Not cut: half of a key would get past the sanitizer.
    if len(value) > QUOTE_LIMIT or _KEY.fullmatch(value):
        return f"the value ({len(value)} characters)"
    return f"'{value}'"


@dataclass(frozen=True, slots=True)
class Naming:
    """The names for a command line, or for the action."""

    inputs: bool = False  # whether options are inputs of the action
    program: tuple[str, ...] = (PROGRAM,)  # the command that starts the gate, without its arguments

    def option(self, name: str, value: str = "") -> str:
        """Return an option's name, and its value if given: `--timeout 5m`, or `timeout: 5m`."""
        if self.inputs:
            return f"{name}: {value}" if value else name
        return f"--{name} {value}" if value else f"--{name}"

    def switch(self, name: str) -> str:
        """Return a switch that is on: `--allow-http`, or `allow-http: true`."""
        return self.option(name, "true" if self.inputs else "")

    def fill(self, template: str) -> str:
        """Return `template`, which must be a constant of the gate, with the names in it."""

        def replacement(match: re.Match[str]) -> str:
            if match["phrase"]:
                phrase = PHRASES[match["phrase"]][self.inputs] if match["phrase"] in PHRASES else match[0]
                return phrase.replace(PROGRAM, shlex.join(self.program))
            name = self.option(match["name"], match["value"] or "")
            return f"`{name}`" if self.inputs else match[0].replace("{", "").replace("}", "")

        return _NAME.sub(replacement, template)


FLAGS: Final = Naming()
INPUTS: Final = Naming(inputs=True)


def naming(env: Mapping[str, str], program: tuple[str, ...] = (PROGRAM,)) -> Naming:
    """Return inputs if the action started the gate, otherwise flags."""
    return INPUTS if env.get(ACTION_VARIABLE) == "1" else Naming(program=program)


def started_as(argv: Sequence[str], original: Sequence[str]) -> tuple[str, ...]:
    """Return the command that started the gate, from `sys.argv` and `sys.orig_argv`.

    It is `threadfix-gate`, unless Python was started with the single file or `-m gate`.
    """
    path = argv[0].replace("\\", "/")
    if not path.endswith((".pyz", "/gate/__main__.py")):
        return (PROGRAM,)
    return tuple(original[: len(original) - len(argv) + 1])
