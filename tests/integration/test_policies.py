"""The checks of a release over real sockets: the shapes of every generation, and everything that is not a pass."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gate.model.advice import advise
from gate.model.history import CheckReading, Failure
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, PassCriteria, Policy
from gate.net.http import RESPONSE_LIMIT
from gate.sandbox import versions
from gate.sandbox.scenarios import NOT_FOUND, SCENARIOS, Raw, Reset, Scenario, Trickle
from gate.sandbox.server import API_KEY, APPLICATION_ID, ThreadFix, envelope, refusal
from gate.text.sanitizer import TEXT_LIMIT, Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server
from gate.threadfix.policies import ROWS, CheckReader
from tests import release
from tests.conftest import SPEED, Gate
from tests.release import (
    CRITERIA,
    DONE,
    EVALUATION,
    NO_PATH,
    RESTRICTED,
    SEVERITIES,
    STATUSES,
    VERSIONS,
    Release,
    Run,
    criteria,
    criterion,
    old_policy,
    policy,
)

if TYPE_CHECKING:
    from pathlib import Path

    from gate.model.subjects import Check
    from gate.sandbox.scenarios import Fault
    from tests.conftest import Serve
    from tests.release import Version

BY_ID, BY_NAME, BY_KIND = Policy(id=3), Policy(name="Low Policy"), Policy(name="30 days", remediation=True)
NO_KIND = policy(policy={"id": 3, "name": "Low Policy"})
REMEDIATION = policy(policy={"name": "30 days", "filterName": None, "id": 4})
"""A remediation policy, which has no filter; a filter policy may have the same name."""


@pytest.fixture
def threadfix() -> Release:
    """A ThreadFix whose endpoints a test sets."""
    return Release()


@pytest.fixture
def run(gate: Gate, threadfix: Release) -> Run:
    """The gate, on a scan that is processed immediately."""
    return Run(gate, threadfix)


def reader(url: str, check: Check) -> CheckReader:
    """Return an object that reads a check."""
    client = Client(Server(url, Secret(API_KEY)), Sanitizer((Secret(API_KEY),)), trace=lambda _: None)
    return CheckReader(client.api, check, APPLICATION_ID)


# --- Every cell of the version table.


def way(version: Version, check: Check) -> tuple[list[tuple[str, str]], bool]:
    """The requests that a check takes in a version, and whether it can be made at all."""
    if isinstance(check, PassCriteria):
        return [("GET", CRITERIA)], version >= (2, 5)
    if isinstance(check, AllPolicies):
        return [("GET", STATUSES)], True
    requests = [("POST", EVALUATION), ("GET", EVALUATION), ("GET", STATUSES)]
    number = 1 if version >= (2, 8, 5) else 2 if version >= (2, 6) else 3
    return requests[:number], not check.remediation or version >= (2, 8)


HOLDS = {"PASSING": True, "FAILING": False, "NO SCANS FOUND": None}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
@pytest.mark.parametrize("check", [PassCriteria(), BY_ID, BY_NAME, BY_KIND, AllPolicies()], ids=str)
@pytest.mark.parametrize("word", HOLDS)
def test_every_version_is_supported(serve: Serve, version: Version, check: Check, word: str) -> None:
    if word == "NO SCANS FOUND" and version < (2, 5, 1, 12) and not isinstance(check, PassCriteria):
        word = "FAILING"  # A boolean has no third value.
    threadfix = release.of_version(version, word)
    read = reader(serve(threadfix), check)
    reading = read(30)
    requests, is_known = way(version, check)
    # The attached policies are listed if the policy is not known.
    more = [] if is_known or isinstance(check, PassCriteria) else [("GET", STATUSES)]
    assert [(method, path) for method, path, _ in threadfix.requests] == [*requests, *more]
    if not is_known:
        assert isinstance(reading, Failure)
        assert (reading.reason, reading.final) == (Reason.POLICY_UNKNOWN, True)
        assert "--api-version" in (advise(reading.kind, reading.doing).hint or "")
        return
    assert isinstance(reading, CheckReading)
    assert reading.holds is HOLDS[word]
    names = {PassCriteria: {"Critical"}, AllPolicies: {"Low Policy", "30 days"}}.get(type(check)) or {
        "30 days" if check == BY_KIND else "Low Policy"
    }
    assert {result.name for result in reading.results} <= names
    assert bool(reading.results) is not (isinstance(check, PassCriteria) and word == "NO SCANS FOUND")
    if not isinstance(check, PassCriteria):
        assert {result.word for result in reading.results} == {word}
    assert read(30) == reading
    assert [(method, path) for method, path, _ in threadfix.requests] == [*requests, requests[-1]]


@pytest.mark.parametrize(
    ("check", "fields"),
    [
        (BY_ID, {"policyId": "3"}),
        (Policy(name="A & b=c, ü +%20"), {"policyName": "A & b=c, ü +%20", "type": "filter"}),
        (BY_KIND, {"policyName": "30 days", "type": "remediation"}),
    ],
)
def test_a_policys_name_is_sent_in_a_form_or_in_a_query(serve: Serve, check: Policy, fields: dict[str, str]) -> None:
    """Both are encoded. Only a name has a type."""
    threadfix = Release()
    reader(serve(threadfix), check)(30)
    assert threadfix.requests == [("POST", EVALUATION, fields), ("GET", EVALUATION, fields), ("GET", STATUSES, {})]


def test_a_day_narrows_the_pass_criteria(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria())
    run("--pass-criteria", "--criteria-from", "2026-01-31", settle="0")
    assert [fields for _, _, fields in run.threadfix.requests] == [{"fromDate": "2026-01-31"}]


def test_a_405_or_404_of_any_sender_leads_to_the_next_generation(serve: Serve) -> None:
    """ThreadFix, a proxy and a servlet container have different pages. A refused key is still final."""
    method = refusal("Request method 'POST' not supported", 405)
    for response in (NO_PATH, NOT_FOUND, Raw(405, b"<html></html>"), method, Raw(204)):
        threadfix = Release().set(EVALUATION, response, method="POST").set(EVALUATION, policy())
        assert isinstance(reader(serve(threadfix), BY_ID)(30), CheckReading)
    threadfix = Release().set(EVALUATION, refusal("API Key not found in database.", 404), method="POST")
    reading = reader(serve(threadfix), BY_ID)(30)
    assert isinstance(reading, Failure)
    assert (reading.reason, reading.final, len(threadfix.requests)) == (Reason.DENIED, True, 1)


def test_all_generations_share_the_time_of_one_request(serve: Serve) -> None:
    def slow(_: dict[str, str]) -> Fault:
        time.sleep(0.1)
        return NO_PATH

    threadfix = Release()
    threadfix.scripts = {("POST", EVALUATION): slow, ("GET", EVALUATION): slow}
    threadfix.set(STATUSES, Trickle(headers_too=True))
    began = time.monotonic()
    reading = reader(serve(threadfix), BY_ID)(0.4)
    assert isinstance(reading, Failure)
    assert reading.timed_out
    assert len(threadfix.requests) == 3
    assert time.monotonic() - began < 5


# --- Verdicts.


@pytest.mark.parametrize("check", ["Low Policy", "remediation:Low Policy"])
def test_a_policy_without_a_stated_filter_is_accepted_by_its_name(run: Run, check: str) -> None:
    """The request contained the kind."""
    run.threadfix.set(EVALUATION, policy(policy={"id": 3, "name": "Low Policy"}), method="POST")
    run.ends(Reason.POLICY_PASSED, "PASSING", "--policy", check)


def test_a_release_that_passes_every_check(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria()).set(EVALUATION, policy(), method="POST")
    run.threadfix.set(STATUSES, release.application(policy(), policy(number=4, name="Other")))
    ran = run.ends(Reason.POLICY_PASSED, "3 checks and 1 pending scan passed.", "--pass-criteria", "--policy", "3\nall")
    assert ran.last.startswith("PASS (policy-passed)")


@pytest.mark.parametrize(
    ("check", "endpoint", "content", "text"),
    [
        (("--pass-criteria",), CRITERIA, criteria(failed=[criterion("High", maxAllowed=0)]),
         "Release blocked. High: at most 0 open. 1 of 2 criteria fails."),
        (("--pass-criteria",), CRITERIA,
         criteria(passed=[], failed=[criterion({"name": "High", "intValue": 4}, maxAllowed=3, maxIntroduced=8),
                                     criterion("Low", notAllowed=True, notIntroduced=True), criterion("Info", x=1)]),
         "Release blocked. High: at most 3 open and at most 8 introduced; Low: at most 0 open and at mo"),
        (("--policy", "3"), EVALUATION, policy("FAILING"), "Policy 3: ThreadFix says FAILING of 'Low Policy' (policy"),
        (("--policy", "Low Policy"), EVALUATION, policy("FAILING"),
         "Policy 'Low Policy': ThreadFix says FAILING (policy 3)."),
        (("--policy", "all"), STATUSES, release.application(policy("FAILING")),
         "says FAILING of 'Low Policy' (policy 3)."),
        (("--policy", "all"), STATUSES,
         [policy(), policy("SOON", 4, "A"), *(policy("FAILING", number, f"P{number}") for number in range(5, 12))],
         "7 of 9 policies fail: 'P5' (policy 5), 'P6' (policy 6), 'P7' (policy 7), 'P8' (policy 8), 'P9' (policy"),
    ],
)  # fmt: skip
def test_a_broken_rule_fails(run: Run, check: tuple[str, ...], endpoint: str, content: object, text: str) -> None:
    run.threadfix.set(endpoint, content).set(EVALUATION, content, method="POST")
    ran = run.ends(Reason.POLICY_FAILED, text, *check)
    assert ran.code == 1


@pytest.mark.parametrize(
    ("check", "endpoint", "content", "text"),
    [
        (("--pass-criteria",), CRITERIA, criteria(passed=[]), "evaluated nothing"),
        (("--pass-criteria",), CRITERIA, criteria(passed=[], passing=False), "evaluated nothing"),
        (("--policy", "3"), EVALUATION, policy("NO SCANS FOUND"), "ThreadFix says NO SCANS FOUND of 'Low Policy'."),
        (("--policy", "3"), EVALUATION, policy("passing"), "ThreadFix says passing of"),
        (("--policy", "3"), EVALUATION, policy("PASSING "), "ThreadFix says PASSING of"),
        (("--policy", "3"), EVALUATION, policy("\u200b"), "ThreadFix says nothing of"),
        (("--policy", "3"), EVALUATION, policy(""), "ThreadFix says nothing of"),
        (("--policy", "3"), EVALUATION, policy("PASSING", passing=True) | {"currentStatus": "SOON", "passing": False},
         "ThreadFix says SOON of"),
        (("--policy", "all"), STATUSES, [], "no policy is attached"),
        (("--policy", "all"), STATUSES, release.application(), "no policy is attached"),
        (("--policy", "all"), STATUSES, [policy(), policy("SOON", 4, "A")], "ThreadFix says SOON of 'A'."),
    ],
)  # fmt: skip
def test_an_undecided_check_is_unknown(
    run: Run, check: tuple[str, ...], endpoint: str, content: object, text: str
) -> None:
    run.threadfix.set(endpoint, content).set(EVALUATION, content, method="POST")
    ran = run.ends(Reason.POLICY_UNKNOWN, text, *check, settle="20s")
    assert ran.code == 8
    assert "To keep waiting" not in ran.err


@pytest.mark.parametrize(
    ("check", "content"),
    [
        ("--pass-criteria", criteria(failed=[criterion()], passing=True)),
        ("--pass-criteria", criteria(passing=False)),
        ("--pass-criteria", criteria(passing=None) | {"passing": "true"}),
        ("--pass-criteria", criteria(passed={})),
        ("--pass-criteria", criteria(passed=[criterion("")])),
        ("--pass-criteria", criteria(passed=[criterion("\u200b ")])),
        ("--pass-criteria", criteria(passed=[criterion({"id": 5})])),
        ("--pass-criteria", {"passing": True, "passed": [criterion()]}),
        ("--pass-criteria", {"passing": True, "failed": []}),
        ("--pass-criteria", {"passed": [criterion()], "failed": []}),
        ("--pass-criteria", [criteria()]),
        ("--policy=3", policy(passing=False)),
        ("--policy=3", policy("FAILING", passing=True)),
        ("--policy=3", policy("SOON", passing=True)),
        ("--policy=3", policy(None)),
        ("--policy=3", old_policy() | {"passing": "PASSING"}),
        ("--policy=3", policy(policy={"id": 3})),
        ("--policy=3", policy(policy={"name": "Low Policy"})),
        ("--policy=3", policy(policy={"id": 0, "name": "Low Policy"})),
        ("--policy=3", {"policy": {"id": 3, "name": "Low Policy"}}),
        ("--policy=3", policy(policy={"id": 3, "name": " "})),
        ("--policy=3", [policy()]),
        ("--policy=all", policy()),
        ("--policy=all", {"id": APPLICATION_ID, "overallPolicyStatus": "PASSING"}),
        ("--policy=all", release.application(policyStatuses=None)),
        ("--policy=all", release.application(policy(), id="6")),
        ("--policy=all", release.application(policy(), policy(name=""))),
        ("--policy=all", [policy(), policy(None)]),
        ("--policy=all", "PASSING"),
    ],
)  # fmt: skip
def test_a_response_without_threadfixs_shape_is_a_protocol_error(run: Run, check: str, content: object) -> None:
    for endpoint, method in ((CRITERIA, "GET"), (STATUSES, "GET"), (EVALUATION, "POST")):
        run.threadfix.set(endpoint, content, method=method)
    run.ends(Reason.PROTOCOL, "127.0.0.1", check)
    assert len(run.threadfix.requests) > 1


@pytest.mark.parametrize(
    ("check", "content", "text"),
    [
        ("3", policy(number=4), "returned policy 4 ('Low Policy'), but policy 3 was requested."),
        ("Low Policy", policy(name="Low policy"), "returned policy 3 ('Low policy'), but policy 'Low Policy' was"),
        ("Low Policy", policy(name="Low Policy "), "but policy 'Low Policy' was requested."),
        ("remediation:Low Policy", policy(name="Other"), "but remediation policy 'Low Policy' was requested."),
        ("all", release.application(policy(), id=7), "returned application 7, but application 6 was requested."),
    ],
)
def test_a_response_about_another_object_is_final(run: Run, check: str, content: object, text: str) -> None:
    run.threadfix.set(EVALUATION, content, method="POST").set(STATUSES, content)
    run.ends(Reason.PROTOCOL, text, "--policy", check)
    assert len(run.threadfix.requests) == 1


@pytest.mark.parametrize(
    ("check", "content", "way", "text"),
    [
        ("remediation:Low Policy", policy(), "POST", "but of the other kind"),
        ("30 days", REMEDIATION, "POST", "but of the other kind"),
        ("remediation:Low Policy", policy(), "GET", "but of the other kind"),
        ("remediation:Low Policy", NO_KIND, "GET", "does not state whether it is a remediation policy"),
        ("remediation:Low Policy", [NO_KIND], "list", "does not state whether it is a remediation policy"),
        ("remediation:Low Policy", policy(policy={"id": 3, "name": "Low Policy", "filterName": ""}), "GET",
         "does not state whether it is a remediation policy"),
    ],
)  # fmt: skip
def test_a_policy_of_another_or_unknown_kind_is_unknown(
    run: Run, check: str, content: object, way: str, text: str
) -> None:
    """An older ThreadFix may ignore the kind in a GET."""
    endpoint, method = (STATUSES, "GET") if way == "list" else (EVALUATION, way)
    run.threadfix.set(endpoint, content, method=method)
    run.ends(Reason.POLICY_UNKNOWN, text, "--policy", check, settle="20s", outage="20s")


@pytest.mark.parametrize(
    ("check", "entries", "text"),
    [
        ("4", [policy()], "does not know this policy. Attached to the application: 'Low Policy' (3)."),
        ("Other", [policy()], "does not know this policy. Attached to the application: 'Low Policy' (3)."),
        ("Other", [policy(number=number) for number in range(1, 14)], "'Low Policy' (10) and 3 more."),
        ("Other", [], "does not know this policy. No policy is attached to the application."),
        ("remediation:Low Policy", [policy()], "does not know this policy. Attached"),
        ("30 days", [REMEDIATION], "Attached to the application: '30 days' (4)."),
        ("Low Policy", [policy(), policy(number=4)], "has 2 matching policies"),
        ("3", [policy("FAILING"), policy(name="Other")], "has 2 matching policies"),
    ],
)
def test_the_list_must_contain_the_policy_once(run: Run, check: str, entries: object, text: str) -> None:
    run.threadfix.set(STATUSES, entries)
    run.ends(Reason.POLICY_UNKNOWN, text, "--policy", check, outage="20s")


@pytest.mark.parametrize("listed", [[policy(), REMEDIATION], RESTRICTED])
def test_an_unknown_policy_ends_the_wait_with_the_attached_policies(run: Run, listed: object) -> None:
    """Without the list, ThreadFix's own text is shown."""
    run.threadfix.set(EVALUATION, refusal("Policy not found"), method="POST").set(STATUSES, listed)
    ran = run.ends(Reason.POLICY_UNKNOWN, "Policy not found", "--policy", "Realease", settle="20s", outage="20s")
    text = "Attached to the application: 'Low Policy' (3), '30 days' (4)."
    assert (text in ran.document["message"]) is isinstance(listed, list), ran.document["message"]
    assert [method for method, _, _ in run.threadfix.requests if method == "POST"] == ["POST"]


def test_every_check_is_evaluated_and_the_worst_decides(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria(passed=[])).set(EVALUATION, policy("FAILING"), method="POST")
    run.threadfix.set(STATUSES, [policy()])
    ran = run.ends(Reason.POLICY_FAILED, "Policy 3: ThreadFix says FAILING", "--pass-criteria", "--policy", "all\n3")
    assert run.threadfix.count(CRITERIA) >= 1
    assert run.threadfix.count(STATUSES) == 1
    assert "pass criteria" in ran.err


def test_no_check_is_requested_before_every_scan_has_passed(run: Run) -> None:
    run.threadfix.set(STATUSES, [policy()])
    ran = run.gate.play(SCENARIOS["interrupted"], "--policy", "all")
    assert (ran.code, run.threadfix.requests) == (1, [])
    assert "polic" not in ran.document["message"]


# --- Checks that cannot be made.

KINDS = [
    (("--pass-criteria",), "Manage CI/CD"),
    (("--policy", "3"), "read access"),
    (("--policy", "all"), "read access"),
]


def always(threadfix: Release, response: object) -> None:
    """Send this response to every check."""
    for endpoint in (CRITERIA, STATUSES, EVALUATION):
        threadfix.set(endpoint, response)
    threadfix.set(EVALUATION, response, method="POST")


FINAL: list[tuple[object, Reason]] = [
    *(
        (response, Reason.DENIED)
        for response in (RESTRICTED, Raw(401), Raw(403, b"<html>"), refusal("No permission", 403))
    ),
    *(
        (response, Reason.POLICY_UNKNOWN)
        for response in (NO_PATH, refusal("Policy not found"), refusal(""), refusal("gone", 410))
    ),
    (Raw(400, b"<html>"), Reason.PROTOCOL),
]


@pytest.mark.parametrize(("check", "permission"), KINDS)
@pytest.mark.parametrize(("response", "reason"), FINAL)
def test_a_final_failure_has_its_advice(
    run: Run, check: tuple[str, ...], permission: str, response: object, reason: Reason
) -> None:
    """It is about the permission, or about versions. A refused key is requested once."""
    always(run.threadfix, response)
    ran = run.ends(reason, "127.0.0.1", *check, outage="20s")
    assert {Reason.DENIED: permission, Reason.POLICY_UNKNOWN: "--api-version"}.get(reason, "HTTP 400") in ran.err
    assert reason is not Reason.DENIED or len(run.threadfix.requests) == 1
    assert "To keep waiting" not in ran.err


def test_a_web_page_instead_of_a_check_is_retried(run: Run) -> None:
    run.threadfix.set(STATUSES, NOT_FOUND, NOT_FOUND, [policy()])
    run.ends(Reason.POLICY_PASSED, "", "--policy", "all", outage="20s")
    run.threadfix.set(STATUSES, NOT_FOUND)
    ran = run.ends(Reason.POLICY_UNKNOWN, "HTTP 404", "--policy", "all")
    assert "failed polls)" in ran.document["message"]
    run.threadfix.set(EVALUATION, policy(evaluated=1), NOT_FOUND, policy(), method="POST")
    run.threadfix.requests.clear()
    run.ends(Reason.POLICY_PASSED, "", "--policy", "3", settle="20s", outage="20s")
    assert {endpoint for _, endpoint, _ in run.threadfix.requests} == {EVALUATION}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Raw(503), Reason.UNREACHABLE),
        (refusal("Database is down", 500), Reason.UNREACHABLE),
        (Reset(), Reason.UNREACHABLE),
        (Raw(302, headers=(("Location", "/login.jsp"),)), Reason.PROTOCOL),
        (Raw(200, b"<html><title>System error</title></html>"), Reason.PROTOCOL),
        (Raw(200, b"{}"), Reason.PROTOCOL),
        (Raw(200, b'{"success": true, "success": true, "object": []}'), Reason.PROTOCOL),
        (Raw(200, b'{"success": 1, "object": []}'), Reason.PROTOCOL),
        (Raw(200, b" " * (RESPONSE_LIMIT + 1)), Reason.PROTOCOL),
        (Raw(202, envelope([policy()]).body), Reason.PROTOCOL),
    ],
)
def test_errors_have_the_limit_of_an_outage(run: Run, response: object, reason: Reason) -> None:
    """The settle timeout does not apply to them. The newest error is the reason."""
    always(run.threadfix, response)
    for check in ("--pass-criteria", "--policy=all"):
        ran = run.ends(reason, "127.0.0.1", check, settle="20s")
        assert ("To keep waiting" in ran.err) is (reason is Reason.UNREACHABLE)
        assert len(run.threadfix.requests) > 1


def test_an_outage_that_ends_is_forgotten(run: Run) -> None:
    for settle in ("0", "20s"):
        run.threadfix.set(STATUSES, Raw(503), Reset(), Raw(200, b"{}"), [policy()])
        ran = run.ends(Reason.POLICY_PASSED, "", "--policy", "all", settle=settle, outage="20s")
        assert "recovered after" in ran.err


def test_an_unreachable_check_may_be_a_warning(run: Run) -> None:
    """This needs --on-unreachable warn, and the verdict stays unknown. No other reason becomes a warning."""
    run.threadfix.set(STATUSES, Raw(503))
    ran = run("--policy", "all", "--on-unreachable", "warn")
    assert (ran.code, ran.document["verdict"], ran.document["reason"]) == (0, "unknown", "unreachable")
    run.threadfix.set(STATUSES, [])
    assert run("--policy", "all", "--on-unreachable", "warn", "--on-timeout", "warn").code == 8


# --- Fresh before true.


@pytest.mark.parametrize(("before", "after"), [("PASSING", "FAILING"), ("FAILING", "PASSING")])
def test_the_stale_race_both_ways(run: Run, before: str, after: str) -> None:
    """If ThreadFix evaluates after DONE, a single request would return the old result."""
    stale, fresh = policy(before, evaluated=release.later(-90)), policy(after)
    run.threadfix.set(STATUSES, [stale], [stale], [stale], [fresh])
    once = run("--policy", "all", settle="0")
    assert once.document["verdict"] == ("pass" if before == "PASSING" else "fail")
    waited = run("--policy", "all", settle="20s")
    assert waited.document["verdict"] == ("pass" if after == "PASSING" else "fail")
    assert run.threadfix.count(STATUSES) == 4


@pytest.mark.parametrize(
    "date", [None, 0, 1, -1, 1_570_117_773, 946_684_800_000, -1800, "-1800", -3600, -660, 2**42, 2**62, 10**30, True]
)
@pytest.mark.parametrize("fields", [("modifiedDate",), ("updatedDate",), ("modifiedDate", "updatedDate")])
def test_no_date_makes_a_policy_from_before_the_scan_fresh(run: Run, date: object, fields: tuple[str, ...]) -> None:
    """ThreadFix responded QUEUED half an hour after the evaluation. Small negative numbers are seconds ago."""
    if type(date) is int and -3600 <= date < -1:
        date = release.later(date)
    number = run.threadfix.add(DONE)
    scan = {"id": 1, "appId": APPLICATION_ID, "error": False, "scanId": 12}
    done = scan | {"status": "DONE"} | ({"modifiedDate": date} if "modifiedDate" in fields else {})
    status = f"applications/{APPLICATION_ID}/pendingScan/{number}/status"
    run.threadfix.set(status, scan | {"status": "QUEUED"}, done)
    listed = {"id": 12, "importTime": 1} | ({"updatedDate": date} if "updatedDate" in fields else {})
    run.threadfix.set(f"applications/{APPLICATION_ID}/scans", [listed])
    run.threadfix.set(STATUSES, [policy(evaluated=release.later(-1800))])
    ran = run.gate("--pending-scan-id", str(number), "--policy", "all", "--settle-timeout", "50ms")
    assert (ran.document["reason"], "stale" in ran.document["message"]) == ("policy-unknown", True), ran.err
    run.threadfix.set(status, done).set(STATUSES, [policy(evaluated=release.later(9))])
    ran = run.gate("--pending-scan-id", str(number), "--policy", "all", "--settle-timeout", "50ms")
    assert ran.document["reason"] == "policy-passed", ran.err


@pytest.mark.parametrize("other", [{"name": "30 days"}, {"filterName": None}])
def test_no_other_policy_with_the_same_id_replaces_a_stale_policy(run: Run, other: dict[str, object]) -> None:
    listed = {"name": "Low Policy", "filterName": "Low Filter", "id": 3}
    broken = policy("FAILING", policy=listed | other, evaluated=release.later(-1800))
    run.threadfix.set(STATUSES, [broken, policy(policy=listed)])
    run.threadfix.set(EVALUATION, policy(policy=listed), method="POST")
    run.ends(Reason.POLICY_UNKNOWN, "stale by", "--policy", "all")


def test_a_stale_check_shows_its_age_and_how_to_keep_waiting(run: Run) -> None:
    run.threadfix.set(EVALUATION, policy(evaluated=release.later(-200)), method="POST")
    ran = run.ends(Reason.POLICY_UNKNOWN, "policy 3: stale by 3m2", "--policy", "3")
    assert "ThreadFix says PASSING of 'Low Policy', evaluated at 20" in ran.document["message"]
    assert "and the scan was processed at 20" in ran.document["message"]
    assert "To keep waiting, run:" in ran.err
    assert "--policy 3" in ran.err
    assert "--settle-timeout" in ran.err
    run.threadfix.set(EVALUATION, policy(lastEvaluated=None), method="POST")
    run.ends(Reason.POLICY_UNKNOWN, "stale: ThreadFix says PASSING, but not when", "--policy", "Low Policy")


def test_an_unchecked_response_is_never_fresh(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria()).set(EVALUATION, policy(), method="POST")
    for check in ("--policy=3", "--pass-criteria"):
        ran = run.ends(Reason.POLICY_PASSED, "", check, "--quiet", settle="0")
        assert [entry["fresh"] for entry in ran.document["checks"]] == [False]
        assert "--settle-timeout 0: ThreadFix's first response counts" in ran.err
        ran = run.ends(Reason.POLICY_PASSED, "", check, "--quiet", settle="20s")
        assert [entry["fresh"] for entry in ran.document["checks"]] == [True]
        assert ("--max-interval: the pass criteria count if" in ran.err) is (check == "--pass-criteria")


def test_one_stale_policy_makes_the_check_stale(run: Run) -> None:
    """A policy that fails after the scan still fails the check."""
    old = release.later(-200)
    run.threadfix.set(STATUSES, [policy(), policy(number=4, name="Old", evaluated=old)])
    run.ends(Reason.POLICY_UNKNOWN, "stale by 3m2", "--policy", "all")
    run.threadfix.set(STATUSES, [policy("FAILING"), policy(number=4, name="Old", evaluated=old)])
    run.ends(Reason.POLICY_FAILED, "1 of 2 policies fails: 'Low Policy' (policy 3).", "--policy", "all")
    run.threadfix.set(STATUSES, [policy("FAILING", evaluated=old), policy(number=4, name="New")])
    run.ends(Reason.POLICY_UNKNOWN, "stale by 3m2", "--policy", "all")


def test_changing_criteria_are_requested_again(run: Run) -> None:
    first, second = criteria(), criteria(failed=[criterion("Low")])
    run.threadfix.set(CRITERIA, first, second, second)
    run.ends(Reason.POLICY_FAILED, "Low: ", "--pass-criteria", settle="20s")
    reordered = [criterion("Low") | {"x": 1}, criterion("High")], [criterion("High"), criterion("Low")]
    run.threadfix.set(CRITERIA, *(criteria(failed=failed) for failed in reordered))
    run.ends(Reason.POLICY_FAILED, "2 of 3 criteria fail", "--pass-criteria", settle="20s")
    assert run.threadfix.count(CRITERIA) == 5
    run.threadfix.set(CRITERIA, *[criteria(failed=[criterion("Low", maxAllowed=number)]) for number in range(300)])
    run.ends(Reason.POLICY_UNKNOWN, "stale: ThreadFix did not return the same result twice", "--pass-criteria")


def test_a_duplicate_file_makes_no_check_stale(run: Run) -> None:
    """ThreadFix processed no scan, so an evaluation after the newest scan counts."""
    run.threadfix.set(STATUSES, [policy(evaluated=release.later(-7000))])
    run.threadfix.set(f"applications/{APPLICATION_ID}/scans", [{"id": 1, "updatedDate": release.later(-7200)}])
    scan = Scenario(
        "twice", "", Reason.ALREADY_IMPORTED, walk=(("DONE", 0),), error_message="Scan file has already been uploaded."
    )
    ran = run.gate.play(scan, "--accept", "duplicate", "--policy", "all")
    assert (ran.code, ran.document["verdict"]) == (0, "pass"), ran.err


@pytest.mark.parametrize("check", [AllPolicies(), PassCriteria()], ids=str)
def test_no_more_names_are_sanitized_than_are_shown(serve: Serve, check: Check) -> None:
    """A megabyte of names must not delay the verdict. Each name is sanitized once, and all policies are judged."""
    many = [policy("SOON", number, f"\u001b[2J{number}") for number in range(1, 3000)]
    limits = [criterion(f"\u001b[2J{number}") for number in range(1, 3000)]
    threadfix = Release().set(STATUSES, [*many, policy("FAILING", 3000, "Worst")])
    threadfix.set(CRITERIA, criteria(passed=limits, failed=[criterion("Worst")]))
    sanitized: list[str] = []

    class Counting(Sanitizer):
        def sanitize(self, value: str, limit: int = TEXT_LIMIT) -> str:
            sanitized.append(value)
            return super().sanitize(value, limit)

    api = Client(Server(serve(threadfix), Secret(API_KEY)), Counting(), trace=lambda _: None).api
    read = CheckReader(api, check, APPLICATION_ID)
    for _ in range(2):
        reading = read(30)
        assert isinstance(reading, CheckReading)
        assert (reading.holds, len(reading.results), reading.results[0].name) == (False, 3000, "Worst")
        assert not any("\u001b" in result.name + result.word for result in reading.results)
        # Each name, and the word that they share.
        assert len(sanitized) == len(set(sanitized)) == ROWS + (check == AllPolicies())


def test_an_old_policy_of_all_is_evaluated_by_its_id(run: Run) -> None:
    """The gate requests this once, after the second response. If it fails, the policy stays stale."""
    old = policy(evaluated=release.later(-200))
    run.threadfix.set(STATUSES, [old, policy(number=4, name="New")]).set(EVALUATION, policy(), method="POST")
    run.ends(Reason.POLICY_PASSED, "2 of 2 policies pass", "--policy", "all", settle="20s")
    requests = [(method, path, fields) for method, path, fields in run.threadfix.requests if path != STATUSES]
    assert requests == [("POST", EVALUATION, {"policyId": "3"})]
    run.threadfix.set(EVALUATION, policy("FAILING"), method="POST")
    run.ends(Reason.POLICY_FAILED, "1 of 2 policies fails: 'Low Policy'", "--policy", "all", settle="20s")
    del run.threadfix.scripts["POST", EVALUATION]
    for response in (Raw(503), RESTRICTED, old, policy(number=4), NO_PATH):
        run.threadfix.set(EVALUATION, response)
        run.ends(Reason.POLICY_UNKNOWN, "stale by 3m2", "--policy", "all")


def test_a_copy_from_a_cache_counts_as_no_response(run: Run) -> None:
    """The gate requests the check again, unless the first response counts in any case."""
    for check, endpoint, content in (("--policy=all", STATUSES, [policy()]), ("--pass-criteria", CRITERIA, criteria())):
        body = envelope(content).body
        aged = [Raw(200, body, "application/json", (("Age", age),)) for age in ("1", "30", "x", "0, 5", "-1")]
        run.threadfix.set(endpoint, *aged, Raw(200, body, "application/json", (("Age", "0"),)))
        ran = run.ends(Reason.POLICY_PASSED, "", check, settle="20s", outage="20s")
        assert "recovered after" in ran.err
        run.threadfix.set(endpoint, aged[0])
        run.ends(Reason.POLICY_UNKNOWN, "a cache returned a copy of an earlier response", check)
        run.ends(Reason.POLICY_PASSED, "", check, settle="0")
    scans = Raw(
        200, envelope([{"id": 1, "updatedDate": release.later(-7200)}]).body, "application/json", (("Age", "9"),)
    )
    run.threadfix.set(STATUSES, [policy()]).set(f"applications/{APPLICATION_ID}/scans", scans)
    ran = run.ends(Reason.POLICY_PASSED, "", "--policy=all", "--first-contact-limit", "50ms", settle="20s")
    assert "warning: the scans of the application could not be listed" in ran.err


def test_an_evaluation_may_take_longer_than_any_other_request(run: Run) -> None:
    """Its limit is the settle timeout, if that is longer than the limit of a request."""

    def slow(_: dict[str, str]) -> Fault:
        time.sleep(0.2)
        return envelope(policy())

    run.threadfix.scripts["POST", EVALUATION] = slow
    run.ends(Reason.POLICY_PASSED, "", "--policy=3", "--request-timeout", "150ms", settle="20s")
    assert run.threadfix.count(EVALUATION) == 1


NO_SCANS = f"No scans associated with application: {APPLICATION_ID}"


@pytest.mark.parametrize(
    ("responses", "requests"),
    [
        *(((refusal(text),), 1) for text in ("No scans", f"{NO_SCANS}6", f"{NO_SCANS}.", NO_SCANS.lower())),
        ((refusal(NO_SCANS, 404),), 1), ((refusal(NO_SCANS, 500), []), 2), ((refusal(NO_SCANS),), 1),
        ((Raw(200, b" " * (RESPONSE_LIMIT + 1)),), 1), ((Raw(200, b"<html>"),), 1), (({"x": 1},), 1),
        ((RESTRICTED,), 1), ((Raw(503), Reset(), []), 3), (([],), 1),
    ],
)  # fmt: skip
def test_without_the_list_of_scans_only_a_date_is_missing(
    run: Run, responses: tuple[object, ...], requests: int
) -> None:
    """The gate retries only if that may help. The scan's own dates decide."""
    scans = f"applications/{APPLICATION_ID}/scans"
    run.threadfix.set(scans, *responses).set(STATUSES, [policy()])
    ran = run.ends(Reason.POLICY_PASSED, "", "--policy=all", settle="20s")
    assert run.threadfix.count(scans) == requests
    listed = responses[-1] in ([], refusal(NO_SCANS))
    assert ("warning: the scans of the application could not be listed" in ran.err) is not listed


# --- The sandbox, a second implementation of the vendor's pages.


@pytest.mark.parametrize(
    ("generation", "version"),
    [
        ("2.5", "none"), ("2.5.1.12", "latest"), ("2.6.1", "none"), ("2.6.2", "latest"), ("2.8", "none"),
        ("2.8.8", "latest"), ("3.0", "legacy"),
    ],
)  # fmt: skip
def test_the_sandbox_in_every_generation(
    generation: str, version: str, serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The gate waits for an evaluation that is later than DONE, in any shape."""
    parsed = versions.parse(generation)
    assert parsed
    threadfix = ThreadFix(speed=SPEED, generation=parsed)
    gate = Gate(threadfix, serve(threadfix), tmp_path, capfd)
    every = ("--pass-criteria", "--policy", "all\nRelease", "--api-version", version, "--settle-timeout", "20s")
    ran = gate.play(SCENARIOS["policy-pass"], *every)
    assert (ran.code, ran.document["reason"]) == (0, "policy-passed"), ran.err
    ran = gate.play(SCENARIOS["policy-fail"], *every)
    assert (ran.code, ran.document["reason"]) == (1, "policy-failed"), ran.err


# --- Signals.


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("hanging", "code", "reason"), [(CRITERIA, 143, "cancelled"), (SEVERITIES, 1, "policy-failed")]
)
def test_a_signal_loses_no_verdict(run: Run, hanging: str, code: int, reason: str) -> None:
    """A check that has not ended is cancelled. A check that failed stays failed while its details are looked up."""
    arrived = threading.Event()

    def hang(_: dict[str, str]) -> Fault:
        arrived.set()
        return Trickle(headers_too=True)

    run.threadfix.set(CRITERIA, criteria(failed=[criterion()]))
    run.threadfix.scripts["GET", hanging] = hang
    scan = run.threadfix.add(DONE)
    arguments = ("--pending-scan-id", str(scan), "--pass-criteria", "--result-file", "result.json")
    with run.gate.start(*arguments) as process:
        assert arrived.wait(20)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == code, log
    document = json.loads((run.gate.folder / "result.json").read_text())
    assert (document["reason"], document["exit_code"]) == (reason, code)
    assert ("To keep waiting" in log) is (reason == "cancelled")


# --- Start-up.


def test_a_run_without_checks_loads_nothing_for_them(gate: Gate, threadfix: Release) -> None:
    scan = threadfix.add(DONE)
    show = (
        "import sys; from gate.cli import main; main(sys.argv[1:]);"
        "print([name for name in sys.modules if any(word in name for word in"
        " ('gate.flow.evaluating', 'evaluation', 'policies', 'criteria', 'vulnerabilities'))])"
    )
    env = dict(os.environ) | gate.env
    command = [sys.executable, "-c", show, "run", "--pending-scan-id", str(scan)]
    assert subprocess.check_output(command, env=env, text=True).strip() == "[]"
