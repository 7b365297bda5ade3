"""How texts name an option, on a command line and in the action."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from gate.naming import FLAGS, INPUTS, PHRASES, naming


@pytest.mark.parametrize(
    ("template", "flags", "inputs"),
    [
        ("Check {--url}.", "Check --url.", "Check `url`."),
        ("Check `{--url}`.", "Check `--url`.", "Check `url`."),
        ("because of `{--on-timeout warn}`", "because of `--on-timeout warn`", "because of `on-timeout: warn`"),
        ("{@options} named", "options named", "inputs named"),
        ("{url}/{scan_id} {@nothing} {--}", "{url}/{scan_id} {@nothing} {--}", "{url}/{scan_id} {@nothing} {--}"),
    ],
)
def test_a_template_is_filled_with_names(template: str, flags: str, inputs: str) -> None:
    """An option is a flag on a command line and an input in the action; what is no placeholder stays."""
    assert FLAGS.fill(template) == flags
    assert INPUTS.fill(template) == inputs


def test_the_action_speaks_of_inputs() -> None:
    """Its set-up says so in a variable; everywhere else options are flags."""
    assert naming({"THREADFIX_GATE_ACTION": "1"}) is INPUTS
    assert naming({}) is FLAGS
    assert not any("--" in inputs for _, inputs in PHRASES.values())


def test_a_switch_is_on() -> None:
    """A flag alone is on; an input needs the value."""
    assert FLAGS.switch("allow-http") == "--allow-http"
    assert INPUTS.switch("allow-http") == "allow-http: true"


GATE = Path(__file__).parents[2] / "gate"
PLACEHOLDER = re.compile(r"\{(--|@)")


def test_a_template_is_made_of_constants() -> None:
    """A placeholder in a text of a server must never be filled, so no variable is put into a template."""
    for file in GATE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            constants = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if any(PLACEHOLDER.search(str(constant)) for constant in constants):
                names = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
                assert all(name.isupper() for name in names), f"{file.name}:{node.lineno}"


def test_only_advice_is_filled() -> None:
    """Messages hold text of servers."""
    filled = {
        ast.unparse(node.args[0])
        for file in GATE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("naming.fill")
    }
    assert filled == {"conclusion.meaning", "conclusion.hint", "outcome.hint", "hint", "risk", "UNDOCUMENTED"}
