"""Finds `THREADFIX_...` variables that are not options: a rule that is silently dropped would open the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gate.naming import ACTION_VARIABLE
from gate.options import OPTIONS, PASS_CRITERIA, POLICY, UI_URL
from gate.reporters.dotenv import variable as output_variable
from gate.reporters.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.options import Option

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
