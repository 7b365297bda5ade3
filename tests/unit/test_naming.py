"""How texts name an option, on a command line and in the action."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from gate.text.wording import FLAGS, INPUTS, PHRASES, naming, started_as


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
    assert FLAGS.fill(template) == flags
    assert INPUTS.fill(template) == inputs


def test_in_the_action_options_are_inputs() -> None:
    """The action sets a variable; otherwise options are flags."""
    assert naming({"THREADFIX_GATE_ACTION": "1"}) is INPUTS
    assert naming({}) == FLAGS
    assert not any("--" in inputs for _, inputs in PHRASES.values())
    assert (FLAGS.switch("allow-http"), INPUTS.switch("allow-http")) == ("--allow-http", "allow-http: true")


@pytest.mark.parametrize(
    ("original", "arguments", "program"),
    [
        (["/usr/bin/python3", "/usr/local/bin/threadfix-gate", "run"], 1, "threadfix-gate"),
        (["python.exe", "C:\\Tools\\threadfix-gate.exe", "run"], 1, "threadfix-gate"),
        (["python3", "threadfix-gate.pyz", "run", "--json"], 2, "python3 threadfix-gate.pyz"),
        (["python3.12", "-I", "/opt/my tools/threadfix-gate.pyz"], 0,
         "python3.12 -I '/opt/my tools/threadfix-gate.pyz'"),
        (["py", "-3", "C:\\my tools\\threadfix-gate.pyz", "run"], 1, "py -3 'C:\\my tools\\threadfix-gate.pyz'"),
        (["python", "-m", "gate", "run"], 1, "python -m gate"),
        (["pytest", "tests"], 1, "threadfix-gate"),
    ],
)  # fmt: skip
def test_the_gate_is_named_as_it_was_started(original: list[str], arguments: int, program: str) -> None:
    script = "/src/gate/__main__.py" if "-m" in original else original[len(original) - arguments - 1]
    command = started_as([script, *original[len(original) - arguments :]], original)
    assert shlex.join(command) == program
    assert naming({}, command).fill("{@help}").startswith(f"`{program} run --help`")


GATE = Path(__file__).parents[2] / "gate"
PLACEHOLDER = re.compile(r"\{(--|@)")


def test_a_template_consists_of_constants() -> None:
    """A placeholder in a text of a server must never be filled, so no variable is put into a template."""
    for file in GATE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            constants = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if any(PLACEHOLDER.search(str(constant)) for constant in constants):
                names = [ast.unparse(part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
                assert all(name.isupper() for name in names), f"{file.name}:{node.lineno}"


def test_only_templates_of_advice_are_filled() -> None:
    filled = {
        ast.unparse(node.args[0])
        for file in GATE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("naming.fill")
    }
    assert filled == {"conclusion.meaning", "conclusion.hint", "outcome.hint", "risk", "UNDOCUMENTED"}
