"""Name options in texts: as a flag on a command line, or as an input of the action.

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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM: Final = "threadfix-gate"
ACTION_VARIABLE: Final = "THREADFIX_GATE_ACTION"
"""The action sets this variable to 1."""

PHRASES: Final[Mapping[str, tuple[str, str]]] = {
    "options": ("options", "inputs"),
    "help": (
        "`threadfix-gate run --help` lists all options",
        "`action.yml` in the action's repository lists all inputs",
    ),
    "doctor": ("`threadfix-gate doctor` with the same options", "The action with `command: doctor`"),
    "resume": (
        "Run the command shown here to keep waiting",
        "Run the action again with the inputs shown here to keep waiting",
    ),
}
"""Each phrase, for a command line and for the action."""
# Backticks around a name belong to it: an input always has them, a flag only if they are written.
_NAME: Final = re.compile(r"`?\{--(?P<name>[a-z-]+)(?: (?P<value>[A-Za-z0-9.]+))?\}`?|\{@(?P<phrase>[a-z ]+)\}")


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
