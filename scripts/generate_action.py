"""Writes action.yml from the tables of options and outputs. `make docs` runs this script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gate.options.table import EXPERT, OPTIONS
from gate.reporters.outputs import OUTPUTS
from gate.text.naming import INPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = Path(__file__).parent.parent / "action.yml"
HEAD: Final = """\
# Made by scripts/generate_action.py from the tables in gate/options/table.py and gate/reporters/outputs.py: edit those,
# then run `make docs`.
name: ThreadFix gate
description: Uploads a scan to ThreadFix, waits until it is processed, then passes or fails the job.
branding:
  icon: shield
  color: blue
"""
PYTHON: Final = (
    "Python 3.10 or later to run the gate with; by default the first of python3, python, python3.14 ... python3.10 on "
    "PATH, then the newest in the tool cache."
)
COMMAND: Final = (
    "`run` uploads, waits and evaluates; `doctor` checks the connection to ThreadFix, the key, the permission and the "
    "ids step by step, and sets no outputs."
)
EXPERTS: Final = [option.name for option in OPTIONS if option.group == EXPERT]


def inputs() -> Iterator[tuple[str, str, str]]:
    """Yield the name, description and default of every input; the expert options are last."""
    rows = [(option.name, INPUTS.fill(option.help), option.default or "") for option in OPTIONS]
    yield from rows[: -len(EXPERTS)]
    yield "command", COMMAND, "run"
    yield "python", PYTHON, ""
    yield from rows[-len(EXPERTS) :]


def lines() -> Iterator[str]:
    """Yield the lines of action.yml after its head."""
    yield "inputs:"
    for name, description, default in inputs():
        if name == EXPERTS[0]:
            yield f"  # {EXPERT}"
        # Every JSON string is a YAML string.
        yield f"  {name}:"
        yield f"    description: {quoted(description)}"
        yield f"    default: {quoted(default)}"
    yield "outputs:"
    for name, description in OUTPUTS.items():
        yield f"  {name}:"
        yield f"    description: {quoted(description)}"
        yield f"    value: ${{{{ steps.gate.outputs.{name} }}}}"
    yield "runs:"
    yield "  using: composite"
    yield "  steps:"
    yield "    - id: gate"
    yield "      shell: bash"
    yield "      env:"
    for name, _, _ in inputs():
        yield f"        THREADFIX_{name.replace('-', '_').upper()}: ${{{{ inputs.{name} }}}}"
    # With exec, the signal of a cancelled job reaches the gate. In the container of a job, the variable is correct and
    # the expression `github.action_path` is not.
    yield '      run: exec bash "$GITHUB_ACTION_PATH/action/setup.sh"'


def quoted(text: str) -> str:
    """Return the text as a YAML string."""
    return json.dumps(text, ensure_ascii=False)


def rendered() -> str:
    """Return the content of action.yml."""
    return HEAD + "".join(f"{line}\n" for line in lines())


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8", newline="\n")
