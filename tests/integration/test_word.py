"""It never says pass unless ThreadFix's own word, for that scan of that application, is success. Over a real socket."""

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


def answered(status: object, **changes: object) -> Scenario:
    """A pending scan that is always answered so; `changes` are to its object, or to the envelope."""
    scan: dict[str, Any] = {"status": status, "error": False, "appId": APPLICATION_ID, "scanId": 12}
    scan |= {name: value for name, value in changes.items() if name != "success"}
    reply = {"success": changes.get("success", True), "message": "", "object": scan}
    body = json.dumps(reply).encode()
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
def test_what_only_cleaning_would_make_a_success_is_none(status: str, gate: Gate) -> None:
    """What is decided is what was said, whole."""
    ran = gate.play(answered(status), *ONCE)
    assert ran.code != 0
    assert ran.document["verdict"] == "unknown"


@pytest.mark.parametrize("status", ["DONE", " done  ", "Finished_Finding_Pulling"])
def test_a_success_in_any_case_and_trimmed_is_one(status: str, gate: Gate) -> None:
    """As it was promised."""
    assert gate.play(answered(status), *ONCE).code == 0


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
def test_pass_if_and_only_if_the_answer_says_so(bodies: list[dict[str, Any]]) -> None:
    """Whatever else is in it; written without the code under test."""
    threadfix = ThreadFix()
    with serving(threadfix) as url:
        client = Client(Server(url, Secret("k" * 40)), Sanitizer(), trace=lambda _: None)
        threadfix.keys.add("k" * 40)
        for body in bodies:
            number = threadfix.add(answered(**body))
            found = client.observe(Target(APPLICATION_ID, number), 10.0)
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
            passed = isinstance(found, ScanReading) and Rules().decide(found) is Decision.SUCCESS
            assert passed is success


def test_only_these_say_pass() -> None:
    """So that the tests above need to look at one reason: the others take an option, and ThreadFix's own words."""
    assert [reason for reason in Reason if reason.row.kind is Kind.PASS] == [
        Reason.PROCESSED, Reason.ALREADY_IMPORTED, Reason.EMPTY_SCAN,
    ]  # fmt: skip
