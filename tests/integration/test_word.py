"""The verdict is pass only if ThreadFix reports success for this scan of this application. Over a real socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.model.history import ScanReading
from gate.model.reasons import Kind, Reason
from gate.model.subjects import Target
from gate.sandbox.scenarios import Raw, Scenario
from gate.sandbox.server import APPLICATION_ID, JSON, ThreadFix, serving
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server
from gate.threadfix.rules import Decision, Rules

if TYPE_CHECKING:
    from tests.conftest import Gate

ONCE = ("--timeout", "0")


def responding(status: object, **changes: object) -> Scenario:
    """Return a scenario whose responses have `status`, and `changes` in their object or envelope."""
    scan: dict[str, Any] = {"status": status, "error": False, "appId": APPLICATION_ID, "scanId": 12}
    scan |= {name: value for name, value in changes.items() if name != "success"}
    envelope = {"success": changes.get("success", True), "message": "", "object": scan}
    body = json.dumps(envelope).encode()
    return Scenario("word", "", Reason.PROTOCOL, fault=lambda _: Raw(200, body, JSON))


@pytest.mark.parametrize(
    "status",
    [
        "DONE" + " " * 2000 + "_NOT",
        "DONE\u200b",
        "DONE\x00",
        "\x00DONE",
        "\u202eDONE",
        "DO\x00NE",
        "ﬁnished_ﬁnding_pulling",
        "D\u200bONE",
        "DONE\u2028NOT",
        "DONE " * 30,
    ],
)
def test_a_status_that_only_sanitizing_would_turn_into_a_success_is_no_success(status: str, gate: Gate) -> None:
    ran = gate.play(responding(status), *ONCE)
    assert ran.code != 0
    assert ran.document["verdict"] == "unknown"


@pytest.mark.parametrize("status", ["DONE", " done  ", "Finished_Finding_Pulling"])
def test_case_and_surrounding_blanks_do_not_matter(status: str, gate: Gate) -> None:
    assert gate.play(responding(status), *ONCE).code == 0


words = st.sampled_from(["DONE", "FINISHED_FINDING_PULLING", "QUEUED", "SCAN_DELETED", "done", "DON", "NEW"])
oddities = st.sampled_from([*[""] * 6, *" \x00\t\n\x1f\x7f\x85\xa0\u200b\u2028\ufeffxſﬁ"])
odd: st.SearchStrategy[object] = st.sampled_from([None, 0, 1, 6, 6.0, "6", "true", "false", [], [True], {}, 10**30])
responses = st.fixed_dictionaries(
    {
        "status": st.builds(lambda a, b, c: f"{a}{b}{c}", oddities, words, oddities) | odd,
        "error": st.booleans() | odd,
        "appId": st.sampled_from([APPLICATION_ID] * 3 + [7, 1, True, -APPLICATION_ID]) | odd,
        "success": st.sampled_from([True] * 9 + [False, None, 1, "true", "false", 1.0, {}]),
    }
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(responses, min_size=1, max_size=4))
def test_a_reading_is_a_success_if_and_only_if_status_flags_and_application_are_right(
    bodies: list[dict[str, Any]],
) -> None:
    """The expectation does not use the code under test."""
    threadfix = ThreadFix()
    with serving(threadfix) as url:
        client = Client(Server(url, Secret("k" * 40)), Sanitizer(), trace=lambda _: None)
        threadfix.keys.add("k" * 40)
        for body in bodies:
            number = threadfix.add(responding(**body))
            reading = client.observe(Target(APPLICATION_ID, number), 10.0)
            status = body["status"]
            success = (
                body["success"] is True
                and body["error"] is False
                and type(body["appId"]) is int
                and body["appId"] == APPLICATION_ID
                and isinstance(status, str)
                and status.strip(" ").isascii()
                and status.strip(" ").upper() in {"DONE", "FINISHED_FINDING_PULLING"}
            )
            passed = isinstance(reading, ScanReading) and Rules().decide(reading) is Decision.SUCCESS
            assert passed is success


def test_only_these_reasons_pass() -> None:
    """The tests above need only `processed`: the others require an option."""
    assert [reason for reason in Reason if reason.row.kind is Kind.PASS] == [
        Reason.PROCESSED, Reason.POLICY_PASSED, Reason.ALREADY_IMPORTED, Reason.EMPTY_SCAN,
    ]  # fmt: skip
