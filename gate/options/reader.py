"""Looks options up, flag before environment, and collects invalid options."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gate.model.errors import InvalidOption
from gate.options.table import (
    API_KEY_FILE,
    APPLICATION_ID,
    APPLICATION_NAME,
    APPLICATION_UNIQUE_ID,
    JSON,
    OPTIONS,
    PASS_CRITERIA,
    PENDING_SCAN_ID,
    POLICY,
    SCAN_FILE,
    TEAM_NAME,
    TIMEOUT,
    UI_URL,
    UPLOAD_RESPONSE,
    UPLOAD_TIMEOUT,
)
from gate.options.values import TRUE, text
from gate.reporters.dotenv import variable as output_variable
from gate.reporters.outputs import OUTPUTS
from gate.text.naming import ACTION_VARIABLE, naming
from gate.text.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gate.options.table import Option


T = TypeVar("T")

NOT_RESUMED: Final = frozenset(
    option.name
    for option in (
        APPLICATION_ID,
        TEAM_NAME,
        APPLICATION_NAME,
        APPLICATION_UNIQUE_ID,
        PENDING_SCAN_ID,
        UPLOAD_RESPONSE,
        SCAN_FILE,
        UPLOAD_TIMEOUT,
        JSON,
    )
)
"""Options that are not part of the command that keeps waiting."""


class OptionReader:
    """Looks options up, flag before environment, and collects invalid options."""

    def __init__(
        self, flags: Mapping[str, Sequence[str]], env: Mapping[str, str], read: Callable[[str], bytes]
    ) -> None:
        """Keep the sources; `read` returns the content of a file."""
        self.flags = flags
        self.env = env
        self.read = read
        self.naming = naming(env)
        self.invalid: list[InvalidOption] = []
        self._reported: set[str] = set()

    def name(self, option: Option[Any], value: str = "") -> str:
        """An option as a person would write it: as a flag, a variable or an input."""
        return self.naming.option(option.name, value) if option.flag or self.naming.inputs else option.variable

    def text_of(self, option: Option[Any]) -> tuple[str, str] | None:
        """The text that was given, and how messages call its origin."""
        given = self.flags.get(option.name, ()) if option.flag else ()
        if given:
            # An empty value among several is a variable that is not set: a check must not be dropped with it.
            return "\n".join(given).strip() if all(map(str.strip, given)) else "", option.label
        value = self.env.get(option.variable, "").strip()
        origin = self.name(option)
        if option.flag and not self.naming.inputs:
            origin = f"{origin} (from {option.variable})"
        return (value, origin) if value else None

    def optional(self, option: Option[T]) -> T | None:
        """The value, or None when it was not given or is invalid."""
        given = self.text_of(option)
        if given is None:
            return None
        value, origin = given
        try:
            return option.parse(text(value))
        except ValueError as error:
            # The value may be a key that was meant for another option.
            self.reject(option, f"{origin}:{' the value' if value else ''} {error}.")
            return None

    def value(self, option: Option[T]) -> T:
        """The value, or that of the default when it was not given or is invalid."""
        value = self.optional(option)
        return option.parse(option.default or "") if value is None else value

    def file(self, option: Option[str], if_missing: str = "") -> bytes | None:
        """Return the content of the file that the option names; None if it was not given or cannot be read."""
        name = self.optional(option)
        if name is None:
            return None
        try:
            return self.read(name)
        except OSError as error:
            why = if_missing if error.errno == errno.ENOENT and if_missing else f"cannot be read ({error.strerror})"
            shown = "the file" if option is API_KEY_FILE else quoted(name)
            self.reject(option, f"{self.name(option)}: {shown} {why}.")
            return None

    def reject(
        self, option: Option[Any], sentence: str, *, meaning: str | None = None, advice: str | None = None
    ) -> None:
        """Keep an invalid option; of one option only the first sentence, the others follow from it."""
        if option.name not in self._reported:
            self._reported.add(option.name)
            self.invalid.append(InvalidOption(option.label, sentence, meaning, advice))

    def has_error(self, *options: Option[Any]) -> bool:
        """Return whether any of these is known to be invalid."""
        return any(option.name in self._reported for option in options)

    def arguments(self) -> tuple[str, ...]:
        """The options that were given, as flags, without secrets and without the scans."""
        arguments: list[str] = []
        for option in OPTIONS:
            given = self.text_of(option)
            # CI systems hand over every option, most of them as they are anyway.
            if given is None or not option.flag or option.name in NOT_RESUMED or given[0] == option.default:
                continue
            if option is TIMEOUT and not option.parse(given[0]):
                continue  # Asking once is no way to keep waiting.
            if option.is_switch:
                arguments.append(f"--{option.name}" if given[0].lower() in TRUE else f"--no-{option.name}")
            else:
                # Each line by itself: a name may have commas, blanks and odd line separators.
                for line in filter(str.strip, re.split(r"[\r\n]+", given[0])):
                    value = line.strip()
                    arguments += [f"--{option.name}={value}"] if value.startswith("--") else [f"--{option.name}", value]
        return tuple(arguments)


PREFIX: Final = "THREADFIX_"
OF_THE_ACTION: Final = frozenset({"THREADFIX_PYTHON", "THREADFIX_COMMAND", ACTION_VARIABLE})
"""The action's set-up reads or sets these."""
OF_A_RULE: Final[dict[str, Option[Any]]] = {"POLIC": POLICY, "CRITERIA": PASS_CRITERIA}
"""Parts of a name that must not be ignored, and the option that is probably meant."""
LONG: Final = 8
"""Letters of a long name. Two of its letters may be wrong, and one letter of a shorter name."""


def unknown_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that are not empty and neither options nor the gate's own."""
    known = {option.variable for option in OPTIONS} | {output_variable(name) for name in OUTPUTS} | OF_THE_ACTION
    return tuple(
        name for name, value in sorted(env.items()) if name.startswith(PREFIX) and name not in known and value.strip()
    )


def resembled_option(variable: str) -> Option[Any] | None:
    """Return the option that `variable` resembles; None if it may belong to another tool."""
    name = variable.removeprefix(PREFIX).removeprefix("GATE_")
    near: dict[Option[Any], int] = {}
    for option in OPTIONS:
        own = option.variable.removeprefix(PREFIX)
        limit = 2 if len(own) >= LONG else 1
        letters = distance(name, own, limit + 1)
        if letters <= limit and option is not UI_URL:
            near[option] = letters
    if near:
        return min(near, key=near.__getitem__)
    return next((option for part, option in OF_A_RULE.items() if part in name), None)


def distance(one: str, other: str, limit: int) -> int:
    """Return the number of letters to insert, drop, replace or swap with the next to make `other` of `one`.

    Args:
        one: the name.
        other: another name.
        limit: the largest number that is returned.
    """
    if abs(len(one) - len(other)) >= limit:
        return limit
    rows = [list(range(len(other) + 1))]
    for number, letter in enumerate(one, 1):
        row, above = [number], rows[-1]
        for column, wanted in enumerate(other, 1):
            letters = min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != wanted))
            if number > 1 and column > 1 and (letter, one[number - 2]) == (other[column - 2], wanted):
                letters = min(letters, rows[-2][column - 2] + 1)
            row.append(letters)
        rows.append(row)
    return min(rows[-1][-1], limit)
