"""Every scenario of the sandbox ends with its expected verdict, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gate.model.reasons import Reason
from gate.sandbox.scenarios import SCENARIOS, Scenario
from gate.sandbox.server import environment

if TYPE_CHECKING:
    from tests.conftest import Gate

# The limits of the demo, scaled to the speed of the tests. Scenarios that must reach a limit have tighter limits.
QUICKER = {"first-contact-limit": "2s", "outage-limit": "2s", "timeout": "5s", "request-timeout": "1s"}
TIGHT = {
    "many-scans": {"request-timeout": "20s"},
    "stuck": {"timeout": "300ms"},
    "vanishes": {"outage-limit": "100ms"},
    "login-page": {"first-contact-limit": "200ms"},
    "policy-stale": {"settle-timeout": "300ms"},
    "slow-body": {"first-contact-limit": "200ms", "request-timeout": "100ms"},
}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_a_scenario_ends_as_expected(scenario: Scenario, gate: Gate) -> None:
    """The log, the result document and the exit code show its verdict and reason."""
    options = dict(scenario.options) | QUICKER | TIGHT.get(scenario.name, {})
    if scenario.files:
        options["scan-file"] = "\n".join(scenario.write(gate.folder))
    env = environment(gate.url, scenario.name, gate.threadfix.scans)
    ran = gate(*replace(scenario, options=options).flags, env=env)
    row = scenario.expect.row
    assert ran.code == row.exit_code
    assert (ran.document["verdict"], ran.document["reason"]) == (row.kind, scenario.expect)
    assert ran.last.startswith(f"{row.kind.upper()} ({scenario.expect}")
    assert ran.out == ""


def test_a_report_with_the_date_of_another_may_be_accepted(gate: Gate) -> None:
    scenario = SCENARIOS["same-date"]
    (file,) = scenario.write(gate.folder)
    ran = gate(
        "--scan-file", file, "--accept", "duplicate", env=environment(gate.url, scenario.name, gate.threadfix.scans)
    )
    assert (ran.code, ran.document["reason"]) == (0, Reason.ALREADY_IMPORTED)


def test_every_reason_that_a_server_can_cause_has_a_scenario() -> None:
    """The other reasons come from options, signals and bugs."""
    played = {scenario.expect for scenario in SCENARIOS.values()}
    assert set(Reason) - played == {
        Reason.UNKNOWN_STATUS,
        Reason.USAGE,
        Reason.NOT_FOUND,
        Reason.CANCELLED,
        Reason.INTERNAL,
    }
