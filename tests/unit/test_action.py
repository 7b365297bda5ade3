"""action.yml says what the code's tables say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from gate.options.table import EXPERT, OPTIONS

ROOT: Final = Path(__file__).parents[2]
OUTPUTS: Final = (
    "verdict reason message exit-code status application-id pending-scan-id scan-id scan-url elapsed-seconds polls "
    "result-file scans"
)
"""What users script against; never to be changed."""


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    """What action.yml holds."""
    held: dict[str, Any] = YAML(typ="safe").load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return held


def test_file_is_fresh() -> None:
    """The file is what the generator writes; `make docs` does."""
    rendered = runpy.run_path(str(ROOT / "scripts/generate_action.py"))["rendered"]
    assert (ROOT / "action.yml").read_text(encoding="utf-8") == rendered()


def test_inputs_are_the_options(action: dict[str, Any]) -> None:
    """Each option, the command and the Python have an input, with a sentence and the option's own default."""
    defaults = {option.name: option.default or "" for option in OPTIONS} | {"python": "", "command": "run"}
    assert {name: given["default"] for name, given in action["inputs"].items()} == defaults
    assert all(given["description"].endswith(".") for given in action["inputs"].values())


def test_expert_options_are_a_group_at_the_end() -> None:
    """The promised ten are the last inputs, under a heading of their own."""
    expert = (
        "status-path interval max-interval request-timeout first-contact-limit outage-limit success-statuses "
        "failure-statuses on-unknown-status ui-url"
    )
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    last = text.partition("  # Expert options\n")[2].partition("\noutputs:")[0]
    assert re.findall(r"^  ([a-z-]+):$", last, flags=re.MULTILINE) == expert.split()
    assert [option.name for option in OPTIONS if option.group == EXPERT] == expert.split()


def test_lock_of_the_action_is_derived() -> None:
    """The lock file is requirements/gate.lock without the packages that only a terminal needs."""
    names = runpy.run_path(str(ROOT / "scripts/lock.py"))
    lock = (ROOT / "requirements/gate.lock").read_text(encoding="utf-8")
    derived = (ROOT / "requirements/action.lock").read_text(encoding="utf-8")
    assert names["for_the_action"](lock) == derived
    packages = set(re.findall(r"^([\w-]+)==", lock, flags=re.MULTILINE))
    assert packages - set(re.findall(r"^([\w-]+)==", derived, flags=re.MULTILINE)) == set(names["AT_A_TERMINAL"])


def test_defaults_are_text(action: dict[str, Any]) -> None:
    """A default is quoted: unquoted, YAML would make a number or a boolean of it, and the runner other text."""
    assert {type(given["default"]) for given in action["inputs"].values()} == {str}


def test_an_input_goes_through_its_variable(action: dict[str, Any]) -> None:
    """Each input reaches the gate in the option's own variable, and in no other way."""
    (step,) = action["runs"]["steps"]
    variables = {option.variable: option.name for option in OPTIONS} | {
        "THREADFIX_COMMAND": "command",
        "THREADFIX_PYTHON": "python",
    }
    assert step["env"] == {variable: f"${{{{ inputs.{name} }}}}" for variable, name in variables.items()}


def test_nothing_is_pasted_into_the_shell(action: dict[str, Any]) -> None:
    """The command holds no expression, so that no input can become part of it, and no other action is used."""
    (step,) = action["runs"]["steps"]
    assert "${{" not in step["run"]
    assert "uses" not in step


def test_outputs_are_wired_from_the_inner_step(action: dict[str, Any]) -> None:
    """The outputs are exactly those of the contract with users, each from the step of the gate."""
    (step,) = action["runs"]["steps"]
    wired = {name: given["value"] for name, given in action["outputs"].items()}
    assert wired == {name: f"${{{{ steps.{step['id']}.outputs.{name} }}}}" for name in OUTPUTS.split()}


def test_the_marketplace_shows_it(action: dict[str, Any]) -> None:
    """Name, description and branding are there, and the description is short enough for the marketplace."""
    assert re.fullmatch(r"[A-Za-z ]+", action["name"])
    assert 0 < len(action["description"]) <= 125  # more is cut off in the list
    assert set(action["branding"]) == {"icon", "color"}
