"""Finds `THREADFIX_...` variables that are no option: a misspelt list of statuses would open the gate in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gate.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.options import Option

PREFIX: Final = "THREADFIX_"
NOT_OURS: Final = "THREADFIX_GATE_"
"""Outputs of an earlier gate, and what its set-up hands on."""
INPUTS_OF_THE_ACTION: Final = frozenset({"THREADFIX_PYTHON", "THREADFIX_COMMAND"})
"""What the action's set-up reads itself."""
NEAR: Final = 2
"""Letters in which a misspelt variable differs at most from an option's."""


def unknown_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that look like an option's and are none; an empty one counts as not given."""
    known = {option.variable for option in OPTIONS} | INPUTS_OF_THE_ACTION
    return tuple(
        name
        for name, value in sorted(env.items())
        if name.startswith(PREFIX) and not name.startswith(NOT_OURS) and name not in known and value.strip()
    )


def nearest_option(variable: str) -> Option[Any] | None:
    """The option whose variable differs least from `variable`; None where that is more than a slip of the pen."""
    distances = ((distance(variable, option.variable, NEAR + 1), option) for option in OPTIONS)
    least, option = min(distances, key=lambda pair: pair[0])
    return option if least <= NEAR else None


def distance(one: str, other: str, limit: int) -> int:
    """Letters to insert, drop or replace to make `other` of `one` (Levenshtein); `limit` where it is that or more."""
    if abs(len(one) - len(other)) >= limit:
        return limit
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        above, row = row, [number]
        for column, wanted in enumerate(other, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != wanted)))
    return min(row[-1], limit)
