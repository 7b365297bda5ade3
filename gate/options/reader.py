"""Looks options up, flag before environment, and collects invalid options."""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from gate.model.reasons import InvalidOption
from gate.options import table
from gate.options.values import TRUE, text, utf8
from gate.reporters.outputs import OUTPUTS
from gate.reporters.outputs import variable as output_variable
from gate.text.wording import ACTION_VARIABLE, naming, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gate.options.table import Option


T = TypeVar("T")

KEY_LENGTH: Final = 32  # letters and digits of a text that may be an API key


def may_be_shown(option: Option[Any], value: str, keys: Sequence[str] = ()) -> bool:
    """Return whether a value cannot be a secret: of the option, or a key that was meant for another option."""
    is_key = any(key and key.lower() in value.lower() for key in keys)
    may_be_key = is_key or sum(map(str.isalnum, value)) >= KEY_LENGTH
    return option.shown and value.isprintable() and not may_be_key


class OptionReader:
    """Looks options up, flag before environment, and collects invalid options."""

    def __init__(
        self, flags: Mapping[str, Sequence[str]], env: Mapping[str, str], read: Callable[[str], bytes]
    ) -> None:
        self.flags = flags
        self.env = env
        self.read = read
        self.naming = naming(env)
        self.invalid: list[InvalidOption] = []
        self.keys = [env.get(table.KEY_VARIABLE, "").strip()]  # must not be shown; the key of a file is added later
        self._reported: set[str] = set()

    def name(self, option: Option[Any], value: str = "") -> str:
        """Return an option's name for people: its flag, variable or input."""
        return self.naming.option(option.name, value) if option.flag or self.naming.inputs else option.variable

    def source(self, option: Option[Any]) -> str:
        """Return the name for messages, with the variable if the option was given there."""
        given = self.text_of(option)
        return given[1] if given else self.name(option)

    def text_of(self, option: Option[Any]) -> tuple[str, str] | None:
        """Return the given text and the name of its source for messages; None if the option was not given."""
        given = self.flags.get(option.name, ()) if option.flag else ()
        if given:
            # An empty value among several is a variable that is not set: a check must not be dropped with it.
            return "\n".join(given).strip() if all(map(str.strip, given)) else "", option.label
        value = self.env.get(option.variable, "").strip()
        source = self.name(option)
        if option.flag and not self.naming.inputs:
            source = f"{source} (from {option.variable})"
        return (value, source) if value else None

    def given(self, *options: Option[Any]) -> list[Option[Any]]:
        """Return those of the options that were given."""
        return [option for option in options if self.text_of(option)]

    def optional(self, option: Option[T]) -> T | None:
        """Return the value, or None if it was not given or is invalid."""
        given = self.text_of(option)
        if given is None:
            return None
        value, source = given
        try:
            return option.parse(text(value))
        except ValueError as error:
            shown = f"'{value}' " if may_be_shown(option, value, self.keys) else "the value "
            self.reject(option, "{source}: {shown}{error}.", source=source, shown=shown if value else "", error=error)
            return None

    def value(self, option: Option[T]) -> T:
        """Return the value, or the default (None if there is none) if it was not given or is invalid."""
        value = self.optional(option)
        return option.parse(option.default) if value is None and option.default is not None else cast("T", value)

    def file(self, option: Option[str], if_missing: str = "") -> bytes | None:
        """Return the content of the file that the option names; None if it was not given or cannot be read."""
        name = self.optional(option)
        if name is None:
            return None
        try:
            return utf8(self.read(name))
        except OSError as error:
            why = if_missing if error.errno == errno.ENOENT and if_missing else f"cannot be read ({error.strerror})"
            shown = "the file" if option is table.API_KEY_FILE else quoted(name)
            self.reject(option, "{name}: {shown} {why}.", shown=shown, why=why)
            return None

    def reject(
        self,
        option: Option[Any],
        sentence: str,
        *,
        meaning: str | None = None,
        advice: str | None = None,
        **values: object,
    ) -> None:
        """Keep the first error of an option; later errors follow from it.

        `sentence` is a template: `{some-option}` becomes the name of that option, `{name}` that of the rejected option,
        and `{value}` the value of this name, which may be any text.
        """
        if option.name not in self._reported:
            self._reported.add(option.name)
            names: dict[str, object] = {other.name: self.name(other) for other in table.OPTIONS}
            names["name"] = self.name(option)
            self.invalid.append(InvalidOption(option.label, sentence.format_map(names | values), meaning, advice))

    def has_error(self, *options: Option[Any]) -> bool:
        """Return whether any of these is known to be invalid, or its name is misspelled."""
        labels = {invalid.option for invalid in self.invalid}
        return any(option.label in labels for option in options)

    def arguments(self) -> tuple[str, ...]:
        """Return the given options as flags, without secrets and scans."""
        arguments: list[str] = []
        for option in table.OPTIONS:
            given = self.text_of(option)
            # CI systems pass every option, most of them with its default.
            if given is None or not option.flag or given[0] == option.default:
                continue
            if option.group == table.TARGET or option in BEFORE_THE_WAIT:
                continue  # The command that keeps waiting has ids instead.
            if option is table.TIMEOUT and option.parse(given[0]) <= option.parse(str(option.default)):
                continue  # It was too short.
            if option.is_switch:
                arguments.append(f"--{option.name}" if given[0].lower() in TRUE else f"--no-{option.name}")
            else:
                # A flag for each line: names contain commas, blanks and odd line separators.
                for line in filter(str.strip, re.split(r"[\r\n]+", given[0])):
                    value = line.strip()
                    arguments += [f"--{option.name}={value}"] if value.startswith("--") else [f"--{option.name}", value]
        return tuple(arguments)


BEFORE_THE_WAIT: Final = (table.SCAN_FILE, table.ONE_SCAN, table.UPLOAD_TIMEOUT, table.JSON)
"""Options without an effect on a run that keeps waiting."""
PREFIX: Final = "THREADFIX_"
OF_THE_ACTION: Final = frozenset({"THREADFIX_PYTHON", "THREADFIX_COMMAND", ACTION_VARIABLE})  # read or set by it
OF_A_RULE: Final[dict[str, Option[Any]]] = {"POLIC": table.POLICY, "CRITERIA": table.PASS_CRITERIA}
"""Parts of names that must not be ignored, with the option that is probably meant."""
LONG: Final = 8  # letters; in a long name two may be wrong, in a shorter name one may be


def check_variables(reader: OptionReader) -> list[str]:
    """Reject the variables that resemble an option, and return a warning about the other unknown variables."""
    others = []
    for variable in unknown_variables(reader.env):
        option = resembled_option(variable)
        if option is None:
            others.append(variable)
            continue
        meant = f"the input {option.name}" if reader.naming.inputs else option.variable
        reader.invalid.append(InvalidOption(option.label, f"{variable} is not an option; did you mean {meant}?"))
    if not others:
        return []
    verb = "is not an option and has" if len(others) == 1 else "are not options and have"
    return [f"{', '.join(others)} {verb} no effect."]


def unknown_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that are not empty and neither options nor the gate's own."""
    known = {option.variable for option in table.OPTIONS} | set(map(output_variable, OUTPUTS)) | OF_THE_ACTION
    return tuple(
        name for name, value in sorted(env.items()) if name.startswith(PREFIX) and name not in known and value.strip()
    )


def resembled_option(variable: str) -> Option[Any] | None:
    """Return the option that `variable` resembles most; None if it may belong to another tool."""
    name = variable.removeprefix(PREFIX).removeprefix("GATE_")
    known = {option: option.variable.removeprefix(PREFIX) for option in table.OPTIONS if option is not table.UI_URL}
    letters = {option: distance(name, other, 3) for option, other in known.items()}
    near = [option for option, other in known.items() if letters[option] <= (2 if len(other) >= LONG else 1)]
    if near:
        return min(near, key=letters.__getitem__)
    return next((option for part, option in OF_A_RULE.items() if part in name), None)


def distance(first: str, second: str, limit: int) -> int:
    """Return how many letters must be inserted, dropped, replaced or swapped to turn a name into the other.

    At most `limit` is returned.
    """
    if first == second or not limit:
        return 0
    if first[:1] == second[:1]:
        return distance(first[1:], second[1:], limit)
    shorter = [(first[1:], second), (first, second[1:]), (first[1:], second[1:])]
    if len(first) > 1 and first[1::-1] == second[:2]:
        shorter.append((first[2:], second[2:]))
    return 1 + min(distance(*names, limit - 1) for names in shorter)
