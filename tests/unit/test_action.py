"""Tests that action.yml matches the tables in the code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from gate.options.table import OPTIONS

ROOT: Final = Path(__file__).parents[2]
OUTPUTS: Final = (
    "verdict reason message exit-code status application-id application-name pending-scan-id scan-id scan-url "
    "elapsed-seconds polls result-file scans"
)
"""Users' scripts depend on these names: never change them."""


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    held: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return held


def test_the_file_is_up_to_date() -> None:
    rendered = runpy.run_path(str(ROOT / "scripts/generate_action.py"))["rendered"]
    assert (ROOT / "action.yml").read_text(encoding="utf-8") == rendered()


def test_the_actions_lock_is_derived() -> None:
    """`make lock` derives it from requirements.lock, with the same versions and hashes."""
    names = runpy.run_path(str(ROOT / "scripts/lock.py"))
    lock = (ROOT / "requirements/gate.lock").read_text(encoding="utf-8")
    derived = (ROOT / "requirements/action.lock").read_text(encoding="utf-8")
    assert names["for_the_action"](lock) == derived
    packages = set(re.findall(r"^([\w-]+)==", lock, flags=re.MULTILINE))
    assert packages - set(re.findall(r"^([\w-]+)==", derived, flags=re.MULTILINE)) == set(names["AT_A_TERMINAL"])


def test_an_input_goes_through_its_variable_and_not_into_the_shell_command(action: dict[str, Any]) -> None:
    (step,) = action["runs"]["steps"]
    variables = {option.variable: option.name for option in OPTIONS}
    variables |= {"THREADFIX_COMMAND": "command", "THREADFIX_PYTHON": "python"}
    assert step["env"] == {variable: f"${{{{ inputs.{name} }}}}" for variable, name in variables.items()}
    assert "${{" not in step["run"]
    assert "uses" not in step


def test_the_outputs_come_from_the_step_of_the_gate(action: dict[str, Any]) -> None:
    (step,) = action["runs"]["steps"]
    wired = {name: given["value"] for name, given in action["outputs"].items()}
    assert wired == {name: f"${{{{ steps.{step['id']}.outputs.{name} }}}}" for name in OUTPUTS.split()}
