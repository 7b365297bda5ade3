"""How texts name an option, on a command line and in the action."""

from __future__ import annotations

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
