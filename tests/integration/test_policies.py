"""The checks of a release over real sockets: the shapes of every generation, and everything that is not a pass."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from itertools import product
from typing import TYPE_CHECKING

import pytest

from gate.flow.signals import Signals
from gate.model.advice import advise
from gate.model.history import CheckReading, Failure
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, Check, PassCriteria, Policy
from gate.sandbox import versions
from gate.sandbox.scenarios import NOT_FOUND, SCENARIOS, Raw, Reset, Trickle
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

    from gate.sandbox.scenarios import Fault
    from tests.conftest import Serve
    from tests.release import Version

BY_ID, BY_NAME, BY_KIND = Policy(id=3), Policy(name="Low Policy"), Policy(name="30 days", remediation=True)
REMEDIATION = policy(policy={"name": "30 days", "filterName": None, "id": 4})
"""A remediation policy, which has no filter; a filter policy may have the same name."""
Read = Callable[[Check, object], CheckReading | Failure]


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
def test_every_version_is_supported(serve: Serve, version: Version) -> None:
    threadfix = Release()
    url = serve(threadfix)
    checks: list[Check] = [PassCriteria(), BY_ID, BY_NAME, BY_KIND, AllPolicies()]
    for check, word in product(checks, HOLDS):
        if word == "NO SCANS FOUND" and version < (2, 5, 1, 12) and not isinstance(check, PassCriteria):
            continue  # A boolean has no third value.
        threadfix.scripts, threadfix.requests = release.of_version(version, word).scripts, []
        read = reader(url, check)
        reading = read(30)
        requests, is_known = way(version, check)
        # The attached policies are listed if the policy is not known.
        more = [] if is_known or isinstance(check, PassCriteria) else [("GET", STATUSES)]
        assert [(method, path) for method, path, _ in threadfix.requests] == [*requests, *more]
        if not is_known:
            assert isinstance(reading, Failure)
            assert (reading.reason, reading.final) == (Reason.POLICY_UNKNOWN, True)
            assert "--api-version" in (advise(reading.kind, reading.doing).hint or "")
            continue
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
    """Only a name has a type. A day narrows the pass criteria."""
    threadfix = Release()
    reader(serve(threadfix), check)(30)
    assert threadfix.requests == [("POST", EVALUATION, fields), ("GET", EVALUATION, fields), ("GET", STATUSES, {})]
    reader(serve(threadfix), PassCriteria(date(2026, 1, 31)))(30)
    assert threadfix.requests[-1] == ("GET", CRITERIA, {"fromDate": "2026-01-31"})


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


def test_reading_a_list_of_policies_counts_towards_the_limit(serve: Serve, threadfix: Release) -> None:
    class Slow(Sanitizer):
        def sanitize(self, value: str, limit: int = TEXT_LIMIT) -> str:
            time.sleep(0.05)
            return super().sanitize(value, limit)

    threadfix.set(STATUSES, envelope([policy(number=number, name=f"Policy {number}") for number in range(1, 51)]))
    client = Client(Server(serve(threadfix), Secret(API_KEY)), Slow((Secret(API_KEY),)), trace=lambda _: None)
    reading = CheckReader(client.api, AllPolicies(), APPLICATION_ID)(1.0)
    assert isinstance(reading, Failure)
    assert reading.reason is Reason.UNREACHABLE


# --- Responses.


@pytest.fixture
def read(serve: Serve, threadfix: Release) -> Read:
    """Return a function that reads a check from a server that has the same response for every check."""
    url = serve(threadfix)

    def respond(check: Check, response: object) -> CheckReading | Failure:
        threadfix.requests.clear()
        for endpoint, method in ((CRITERIA, "GET"), (STATUSES, "GET"), (EVALUATION, "GET"), (EVALUATION, "POST")):
            threadfix.set(endpoint, response, method=method)
        return reader(url, check)(30)

    return respond


def test_a_criterion_has_its_limits(read: Read) -> None:
    high = criterion({"name": "High", "intValue": 4}, maxAllowed=3, maxIntroduced=8)
    failed = [high, criterion("Low", notAllowed=True, notIntroduced=True), criterion("Info", x=1)]
    reading = read(PassCriteria(), criteria(passed=[], failed=failed))
    assert isinstance(reading, CheckReading)
    assert [(result.name, result.limits) for result in reading.results] == [
        ("High", ("at most 3 open", "at most 8 introduced")), ("Low", ("at most 0 open", "at most 0 introduced")),
        ("Info", ()),
    ]  # fmt: skip


def test_policies_that_fail_are_first(read: Read) -> None:
    entries = [policy(), policy("SOON", 4, "A"), *(policy("FAILING", number, f"P{number}") for number in (5, 6))]
    reading = read(AllPolicies(), entries)
    assert isinstance(reading, CheckReading)
    assert (reading.holds, [result.name for result in reading.results]) == (False, ["P5", "P6", "A", "Low Policy"])


@pytest.mark.parametrize("word", ["NO SCANS FOUND", "passing", "PASSING ", "\u200b", ""])
def test_another_word_decides_nothing(read: Read, word: str) -> None:
    for response in (policy(word), policy(word, passing=word == "PASSING")):
        reading = read(BY_ID, response)
        assert isinstance(reading, CheckReading)
        assert (reading.holds, reading.results[0].word) == (None, word.strip(" \u200b") or "nothing")


SHAPES: dict[Check, list[object]] = {
    PassCriteria(): [
        criteria(failed=[criterion()], passing=True), criteria(passing=False),
        criteria(passing=None) | {"passing": "true"}, criteria(passed={}), criteria(passed=[criterion("")]),
        criteria(passed=[criterion("\u200b ")]), criteria(passed=[criterion({"id": 5})]),
        {"passing": True, "passed": [criterion()]}, {"passing": True, "failed": []},
        {"passed": [criterion()], "failed": []}, [criteria()],
    ],
    BY_ID: [
        policy(passing=False), policy("FAILING", passing=True), policy("SOON", passing=True), policy(None),
        old_policy() | {"passing": "PASSING"}, policy(policy={"id": 3}), policy(policy={"name": "Low Policy"}),
        policy(policy={"id": 0, "name": "Low Policy"}), {"policy": {"id": 3, "name": "Low Policy"}},
        policy(policy={"id": 3, "name": " "}), [policy()],
    ],
    AllPolicies(): [
        policy(), {"id": APPLICATION_ID, "overallPolicyStatus": "PASSING"}, release.application(policyStatuses=None),
        release.application(policy(), id="6"), release.application(policy(), policy(name="")),
        [policy(), policy(None)], "PASSING",
    ],
}  # fmt: skip
TRANSIENT: dict[Reason, list[object]] = {
    Reason.UNREACHABLE: [Raw(503), refusal("Database is down", 500), Reset()],
    Reason.PROTOCOL: [
        Raw(302, headers=(("Location", "/login.jsp"),)), Raw(200, b"<html><title>System error</title></html>"),
        Raw(200, b"{}"), Raw(200, b'{"success": true, "success": true, "object": []}'),
        Raw(200, b'{"success": 1, "object": []}'), Raw(202, envelope([policy()]).body),
    ],
    Reason.POLICY_UNKNOWN: [NOT_FOUND],
}  # fmt: skip


def test_a_response_without_threadfix_s_shape_is_transient(read: Read) -> None:
    for check, contents in SHAPES.items():
        for content in contents:
            reading = read(check, content)
            assert isinstance(reading, Failure), content
            assert (reading.reason, reading.final) == (Reason.PROTOCOL, False), content
    for reason, contents in TRANSIENT.items():
        for check, content in product(SHAPES, contents):
            reading = read(check, content)
            assert isinstance(reading, Failure), content
            assert (reading.reason, reading.final) == (reason, False), content


FINAL: dict[Reason, list[object]] = {
    Reason.DENIED: [RESTRICTED, Raw(401), Raw(403, b"<html>"), refusal("No permission", 403)],
    Reason.POLICY_UNKNOWN: [NO_PATH, refusal("Policy not found"), refusal(""), refusal("gone", 410)],
    Reason.PROTOCOL: [Raw(400, b"<html>")],
}


@pytest.mark.parametrize(
    ("check", "permission"), [(PassCriteria(), "Manage CI/CD"), (BY_ID, "read access"), (AllPolicies(), "read access")]
)
def test_a_final_failure_has_its_advice(read: Read, threadfix: Release, check: Check, permission: str) -> None:
    """It is about the permission, or about versions. A refused key is requested once."""
    for reason, contents in FINAL.items():
        for content in contents:
            reading = read(check, content)
            assert isinstance(reading, Failure)
            assert (reading.reason, reading.final) == (reason, True)
            hint = advise(reading.kind, reading.doing).hint or ""
            assert {Reason.DENIED: permission, Reason.POLICY_UNKNOWN: "--api-version"}.get(reason, "") in hint
            assert reason is not Reason.DENIED or len(threadfix.requests) == 1


@pytest.mark.parametrize(
    ("check", "content", "text"),
    [
        (BY_ID, policy(number=4), "returned policy 4 ('Low Policy'), but policy 3 was requested."),
        (BY_NAME, policy(name="Low policy"), "returned policy 3 ('Low policy'), but policy 'Low Policy' was"),
        (BY_NAME, policy(name="Low Policy "), "but policy 'Low Policy' was requested."),
        (BY_KIND, policy(name="Other"), "but remediation policy '30 days' was requested."),
        (AllPolicies(), release.application(policy(), id=7), "returned application 7, but application 6 was requested"),
    ],
)
def test_a_response_about_another_object_is_final(
    read: Read, threadfix: Release, check: Check, content: object, text: str
) -> None:
    reading = read(check, content)
    assert isinstance(reading, Failure)
    assert (reading.reason, reading.final, text in reading.what) == (Reason.PROTOCOL, True, True)
    assert len(threadfix.requests) == 1


REMEDIATED = Policy(name="Low Policy", remediation=True)
NO_KIND = policy(policy={"id": 3, "name": "Low Policy"})


@pytest.mark.parametrize(
    ("check", "way", "content", "text"),
    [
        (
            Policy(id=4),
            "list",
            [policy()],
            "does not know this policy. Attached to the application: 'Low Policy' (id 3).",
        ),
        (BY_KIND, "list", [policy(number=number) for number in range(1, 14)], "'Low Policy' (id 10) and 3 more."),
        (BY_ID, "list", [], "does not know this policy. No policy is attached to the application."),
        (REMEDIATED, "list", [policy()], "does not know this policy. Attached"),
        (Policy(name="30 days"), "list", [REMEDIATION], "Attached to the application: '30 days' (id 4)."),
        (BY_NAME, "list", [policy(), policy(number=4)], "has 2 matching policies"),
        (BY_ID, "list", [policy("FAILING"), policy(name="Other")], "has 2 matching policies"),
        (REMEDIATED, "POST", policy(), "but of the other kind"),
        (REMEDIATED, "GET", NO_KIND, "does not state whether it is a remediation policy"),
    ],
)
def test_the_policy_must_exist_once_and_be_of_the_requested_kind(
    serve: Serve, check: Check, way: str, content: object, text: str
) -> None:
    threadfix = Release()
    if way == "list":
        threadfix.set(STATUSES, content)
    else:
        threadfix.set(EVALUATION, content, method=way)
    reading = reader(serve(threadfix), check)(30)
    assert isinstance(reading, Failure)
    assert (reading.reason, reading.final, text in reading.what) == (Reason.POLICY_UNKNOWN, True, True)


def test_an_unknown_policy_ends_the_wait_with_the_attached_policies(run: Run) -> None:
    """Without the list, ThreadFix's own text is shown."""
    run.threadfix.set(EVALUATION, refusal("Policy not found"), method="POST")
    for listed in ([policy(), REMEDIATION], RESTRICTED):
        run.threadfix.set(STATUSES, listed).requests.clear()
        ran = run.ends(Reason.POLICY_UNKNOWN, "Policy not found", "--policy", "Realease", settle="20s", outage="20s")
        text = "Attached to the application: 'Low Policy' (id 3), '30 days' (id 4)."
        assert (text in ran.document["message"]) is isinstance(listed, list), ran.document["message"]
        assert [method for method, _, _ in run.threadfix.requests if method == "POST"] == ["POST"]


def test_errors_have_the_limit_of_an_outage(run: Run) -> None:
    """The settle timeout does not apply to them. An error that ends is forgotten."""
    run.threadfix.set(STATUSES, Raw(503))
    ran = run.ends(Reason.UNREACHABLE, "127.0.0.1", "--policy=all", settle="20s", outage="50ms")
    assert "To keep waiting" in ran.err
    for settle in ("0", "20s"):
        run.threadfix.set(STATUSES, NOT_FOUND, Reset(), Raw(200, b"{}"), [policy()])
        assert "recovered after" in run.ends(Reason.POLICY_PASSED, "", "--policy=all", settle=settle, outage="20s").err
    run.threadfix.set(EVALUATION, policy(evaluated=1), NOT_FOUND, policy(), method="POST").requests.clear()
    run.ends(Reason.POLICY_PASSED, "", "--policy", "3", settle="20s", outage="20s")
    assert {endpoint for _, endpoint, _ in run.threadfix.requests} == {EVALUATION}


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


@pytest.mark.parametrize("other", [{"name": "30 days"}, {"filterName": None}])
def test_no_other_policy_with_the_same_id_replaces_a_stale_policy(run: Run, other: dict[str, object]) -> None:
    listed = {"name": "Low Policy", "filterName": "Low Filter", "id": 3}
    broken = policy("FAILING", policy=listed | other, evaluated=release.later(-1800))
    run.threadfix.set(STATUSES, [broken, policy(policy=listed)])
    run.threadfix.set(EVALUATION, policy(policy=listed), method="POST")
    run.ends(Reason.POLICY_UNKNOWN, "stale by", "--policy", "all")


def test_two_responses_agree_if_their_criteria_do_in_any_order(read: Read) -> None:
    low, high = criterion("Low"), criterion("High")
    contents = (criteria(failed=[low | {"x": 1}, high]), criteria(failed=[high, low]), criteria(failed=[low]),
                criteria(failed=[low, high | {"maxAllowed": 7}]))  # fmt: skip
    first, *others = [read(PassCriteria(), content) for content in contents]
    assert isinstance(first, CheckReading)
    assert [isinstance(other, CheckReading) and other.agreement == first.agreement for other in others] == [
        True, False, False,
    ]  # fmt: skip


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
    for response in (Raw(503), policy(number=4)):
        run.threadfix.set(EVALUATION, response)
        run.ends(Reason.POLICY_UNKNOWN, "stale by 3m2", "--policy", "all", settle="50ms")


def test_a_copy_from_a_cache_counts_as_no_response(run: Run) -> None:
    """The gate requests the check again, unless the first response counts in any case."""
    for check, endpoint, content in (("--policy=all", STATUSES, [policy()]), ("--pass-criteria", CRITERIA, criteria())):
        body = envelope(content).body
        aged = [Raw(200, body, "application/json", (("Age", age),)) for age in ("1", "30", "x", "0, 5", "-1")]
        run.threadfix.set(endpoint, *aged, Raw(200, body, "application/json", (("Age", "0"),)))
        ran = run.ends(Reason.POLICY_PASSED, "", check, settle="20s", outage="20s")
        assert "recovered after" in ran.err
        run.threadfix.set(endpoint, aged[0])
        run.ends(Reason.POLICY_UNKNOWN, "a cache returned a copy of an earlier response", check, outage="50ms")
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
        ((refusal(f"{NO_SCANS}6"),), 1), ((refusal(NO_SCANS.lower()),), 1), ((refusal(NO_SCANS, 404),), 1),
        ((refusal(NO_SCANS, 500), []), 2), ((refusal(NO_SCANS),), 1), ((Raw(200, b"<html>"),), 1), (({"x": 1},), 1),
        ((RESTRICTED,), 1), ((Raw(503), Reset(), []), 3),
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
    [("2.5", "none"), ("2.5.1.12", "latest"), ("2.6.2", "latest"), ("2.8", "none"), ("2.8.8", "latest")],
)
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


@pytest.mark.parametrize(
    ("hanging", "code", "reason"), [(CRITERIA, 143, "cancelled"), (SEVERITIES, 1, "policy-failed")]
)
def test_a_signal_loses_no_verdict(run: Run, hanging: str, code: int, reason: str) -> None:
    """A check that has not ended is cancelled. A check that failed stays failed while its details are looked up."""
    signals = Signals()

    def hang(_: dict[str, str]) -> Fault:
        signals.stop(15)
        return Trickle(headers_too=True)

    run.threadfix.set(CRITERIA, criteria(failed=[criterion()]))
    run.threadfix.scripts["GET", hanging] = hang
    ran = run.gate("--pending-scan-id", str(run.threadfix.add(DONE)), "--pass-criteria", signals=signals)
    assert (ran.code, ran.document["reason"]) == (code, reason)
    assert ("To keep waiting" in ran.err) is (reason == "cancelled")


# --- Start-up.


def test_a_run_without_checks_loads_nothing_for_them(gate: Gate, threadfix: Release) -> None:
    """Nor for another command."""
    show = (
        "import sys; from gate.cli import main; main(sys.argv[1:]);"
        "print([name for name in sys.modules if any(word in name for word in"
        " ('gate.doctor', 'gate.flow.evaluating', 'evaluation', 'policies', 'criteria', 'vulnerabilities'))])"
    )
    command = [sys.executable, "-c", show, "run", "--pending-scan-id", str(threadfix.add(DONE))]
    assert subprocess.check_output(command, env=dict(os.environ) | gate.env, text=True).strip() == "[]"


def test_an_unchecked_response_is_never_fresh(run: Run) -> None:
    run.threadfix.set(CRITERIA, criteria()).set(EVALUATION, policy(), method="POST")
    for check in ("--policy=3", "--pass-criteria"):
        ran = run.ends(Reason.POLICY_PASSED, "", check, "--quiet", settle="0")
        assert [entry["fresh"] for entry in ran.document["checks"]] == [False]
        assert "--settle-timeout 0: ThreadFix's first response counts" in ran.err
        ran = run.ends(Reason.POLICY_PASSED, "", check, "--quiet", settle="20s")
        assert [entry["fresh"] for entry in ran.document["checks"]] == [True]
        assert ("--max-interval: the pass criteria count if" in ran.err) is (check == "--pass-criteria")
