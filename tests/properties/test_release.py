"""Nothing that a server can send is a pass, except a well-formed, fresh, non-empty response that the rules hold.

The tests judge responses by separate rules, written without the code under test.
"""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gate.flow.evaluating import dated
from gate.judge.checks import judge_check
from gate.model.history import FRESH as IS_FRESH
from gate.model.history import CheckReading, Failure, History, Outage, StopCause
from gate.model.reasons import Kind, Reason
from gate.model.subjects import AllPolicies, PassCriteria, Policy
from gate.net.http import Response
from gate.sandbox.server import APPLICATION_ID
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.api import RestApi
from gate.threadfix.links import Server
from gate.threadfix.policies import GENERATIONS, CheckReader
from tests.builders import SETTINGS
from tests.release import application, criteria, criterion, old_policy, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gate.model.subjects import Check

REFERENCE = 1_570_117_773.0
FRESH, OLD = 1_570_117_773_000, 1_570_117_772_999
KEY = Secret("a key of forty characters, more or less")
API = RestApi(Server("https://tf.example.com/threadfix", KEY), Sanitizer((KEY,)), lambda _: None)
ALLOWED = {
    Reason.POLICY_PASSED, Reason.POLICY_FAILED, Reason.POLICY_UNKNOWN, Reason.PROTOCOL, Reason.DENIED,
    Reason.UNREACHABLE,
}  # fmt: skip
"""The possible results of a check."""


class Canned:
    """A transport that has the same response for everything."""

    host, proxy = "tf.example.com", None

    def __init__(self, code: int, body: bytes) -> None:
        self._response = Response(code, {"Date": "Thu, 03 Oct 2019 15:50:33 GMT"}, body, API.parse(body))

    def request(self, *_: object, **__: object) -> Response:
        return self._response

    def probe(self, work: Callable[[object], object], _: float) -> object:
        return work(None)


def verdict(check: Check, body: bytes, code: int = 200) -> tuple[Reason, Kind]:
    """Return the result of a check if the server always responds with this, until the time to settle is over."""
    api = copy.copy(API)
    api.http = Canned(code, body)  # type: ignore[assignment]
    response = CheckReader(api, check, APPLICATION_ID)(30.0)
    if isinstance(response, CheckReading):
        # The server responds with the same criteria twice.
        response = replace(response, status=IS_FRESH) if isinstance(check, PassCriteria) else dated(response, REFERENCE)
    reading = response if isinstance(response, CheckReading) else None
    outages = (Outage(0.0, response),) if isinstance(response, Failure) else ()
    history: History[Check, CheckReading] = History(
        check, StopCause.DECIDED, 1.0, 1, newest=response, reading=reading, outages=outages
    )
    conclusion = judge_check(history, SETTINGS).conclusion
    assert conclusion.reason in ALLOWED
    assert (conclusion.exit_code == 0) is (conclusion.kind is Kind.PASS)
    assert KEY.reveal() not in conclusion.message
    return conclusion.reason, conclusion.kind


def wrapped(content: object) -> dict[str, Any]:
    """The envelope around a response's object."""
    return {"message": "", "success": True, "responseCode": -1, "object": content}


# --- The test's rules for a pass.


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def may_pass(check: Check, body: bytes) -> bool:
    """Return whether a response is well-formed, fresh, about the requested check, and that it holds."""
    try:
        whole = json.loads(body.decode(), object_pairs_hook=_once)
        content = whole["object"]
        if whole["success"] is not True:
            return False
        if isinstance(check, PassCriteria):
            passed, failed = content["passed"], content["failed"]
            return content["passing"] is True and failed == [] and isinstance(passed, list) and len(passed) > 0
        if isinstance(check, AllPolicies):
            if isinstance(content, dict):
                if type(content["id"]) is not int or content["id"] != APPLICATION_ID:
                    return False
                content = content["policyStatuses"]
            return isinstance(content, list) and len(content) > 0 and all(map(_holds, content))
        returned = content["policy"]
        is_requested = returned["id"] == check.id if check.name is None else returned["name"] == check.name
        return is_requested and _holds(content)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _holds(status: dict[str, Any]) -> bool:
    words = {"currentStatus": "PASSING", "passing": True}
    given_words = [name for name in words if name in status]
    return (
        bool(given_words)
        and all(type(status[name]) is type(words[name]) and status[name] == words[name] for name in given_words)
        and type(status["lastEvaluated"]) is int
        and FRESH <= status["lastEvaluated"] <= FRESH + 60_000 + 24 * 3600 * 1000
        and type(status["policy"]["id"]) is int
        and 0 < status["policy"]["id"] < 2**31
        and isinstance(status["policy"]["name"], str)
    )


# --- Responses.

BY_ID, BY_NAME = Policy(id=3), Policy(name="Low Policy")
PASSING: list[tuple[Check, Any]] = [
    (PassCriteria(), criteria()),
    (PassCriteria(), criteria(passed=[criterion(), criterion({"name": "High", "intValue": 4}, notAllowed=True)])),
    (BY_ID, policy(evaluated=FRESH)),
    (BY_NAME, policy(evaluated=FRESH, passing=True)),
    (BY_NAME, old_policy(evaluated=FRESH)),
    (AllPolicies(), [policy(evaluated=FRESH)]),
    (AllPolicies(), [old_policy(evaluated=FRESH), old_policy(number=4, name="B", evaluated=FRESH)]),
    (AllPolicies(), application(policy(evaluated=FRESH), policy(number=4, name="B", evaluated=FRESH))),
]
FAILING: list[tuple[Check, Any]] = [
    (PassCriteria(), criteria(failed=[criterion("High")])),
    (PassCriteria(), criteria(passed=[], failed=[criterion("High", maxAllowed=0)])),
    (BY_ID, policy("FAILING", evaluated=FRESH)),
    (BY_NAME, policy("FAILING", evaluated=FRESH, passing=False)),
    (AllPolicies(), [policy("FAILING", evaluated=FRESH)]),
    (AllPolicies(), application(policy(evaluated=FRESH), policy("FAILING", 4, "B", FRESH))),
    (AllPolicies(), application(policy("FAILING", evaluated=FRESH), overallPolicyStatus="PASSING")),
]
UNKNOWN: list[tuple[Check, Any]] = [
    (PassCriteria(), criteria(passed=[])),
    (BY_ID, policy("NO SCANS FOUND", evaluated=FRESH)),
    (BY_ID, policy(evaluated=OLD)),
    (BY_ID, policy() | {"lastEvaluated": None}),
    (BY_ID, policy(evaluated=FRESH + 60_000 + 24 * 3600 * 1000 + 1)),
    (BY_ID, policy(evaluated=FRESH * 1000)),
    (AllPolicies(), []),
    (AllPolicies(), application()),
    (AllPolicies(), [policy(evaluated=FRESH), policy(number=4, name="B", evaluated=OLD)]),
]
CHECKS = [PassCriteria(), BY_ID, BY_NAME, AllPolicies()]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10), st.sampled_from([FRESH, OLD, FRESH * 1000, FRESH // 1000]),
    st.floats(allow_nan=False),
    st.sampled_from(["PASSING", "FAILING", "passing", "PASSING ", "", "Low Policy", "High", "true", "P\u0130SSING"]),
    st.text(max_size=5),
)  # fmt: skip
names = st.sampled_from([
    "success", "message", "object", "passing", "passed", "failed", "currentStatus", "policyStatuses", "policy", "id",
    "name", "lastEvaluated", "severity", "overallPolicyStatus", "maxAllowed", "filterName",
])  # fmt: skip
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=12
)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    """The path of every value in a document."""
    yield path
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, inner in pairs:
        yield from places(inner, (*path, name))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a document with another value in a place; without the place if the value is `...`."""
    if not path:
        return value
    document = copy.deepcopy(document)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


# --- The properties.


@pytest.mark.parametrize(
    ("check", "content", "reason"),
    [
        (*row, reason)
        for rows, reason in (
            (PASSING, Reason.POLICY_PASSED), (FAILING, Reason.POLICY_FAILED), (UNKNOWN, Reason.POLICY_UNKNOWN),
        )
        for row in rows
    ],
)  # fmt: skip
def test_the_unmutated_response_has_its_reason(check: Check, content: Any, reason: Reason) -> None:  # noqa: ANN401
    """Otherwise the properties would hold for a gate that passes nothing."""
    body = json.dumps(wrapped(content)).encode()
    assert verdict(check, body) == (reason, reason.row.kind)
    assert may_pass(check, body) is (reason is Reason.POLICY_PASSED)


@settings(max_examples=2 * settings().max_examples)
@given(st.sampled_from(CHECKS), st.binary(max_size=300), st.sampled_from([200, 201, 202, 204, 302, 400, 404, 405, 500]))
@example(PassCriteria(), b'{"success": true, "object": {"passing": true, "passed": [], "failed": []}}', 200)
@example(AllPolicies(), b"", 200)
def test_random_bytes_do_not_pass(check: Check, body: bytes, code: int) -> None:
    assert verdict(check, body, code)[1] is not Kind.PASS


@settings(max_examples=3 * settings().max_examples)
@given(st.sampled_from(CHECKS), documents, st.booleans())
def test_json_passes_only_if_it_reports_a_pass(check: Check, document: object, envelope: bool) -> None:  # noqa: FBT001 - drawn
    body = json.dumps(wrapped(document) if envelope else document).encode()
    assert verdict(check, body)[1] is not Kind.PASS or may_pass(check, body)


@settings(max_examples=3 * settings().max_examples)
@given(st.data())
def test_a_mutated_response_passes_only_if_it_still_reports_a_pass(data: st.DataObject) -> None:
    check, content = data.draw(st.sampled_from(PASSING + FAILING + UNKNOWN))
    document: Any = wrapped(content)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in places(document) if path] or [()]))
        document = put(document, path, data.draw(st.one_of(documents, st.just(...)) if path else documents))
    body = json.dumps(document).encode()
    assert verdict(check, body)[1] is not Kind.PASS or may_pass(check, body)


def test_mutating_one_field_of_a_failing_response_never_makes_it_pass() -> None:
    """Each field takes each value that could matter, or goes; except the word itself, if it is exactly PASSING."""
    values = [
        ..., None, True, False, 0, 1, 3, 6, FRESH, "PASSING", "FAILING", "passing", "PASSING ", "", "Low Policy", [],
        {}, [criterion()], [policy(evaluated=FRESH)], {"PASSING": True},
    ]  # fmt: skip
    passed = {
        (path[-1], str(value))
        for check, content in FAILING
        for path in places(wrapped(content))
        for value in values
        if path and isinstance(path[-1], str)
        if verdict(check, json.dumps(put(wrapped(content), path, value)).encode())[1] is Kind.PASS
    }
    # A whole list that is replaced by a passing list is another response, not a mutated response.
    whole = str([policy(evaluated=FRESH)])
    assert passed == {("currentStatus", "PASSING"), ("policyStatuses", whole), ("object", whole)}


POLICIES = [Policy(id=3), Policy(id=4), *(
    Policy(name=name, remediation=remediation) for name in ("A", "B") for remediation in (False, True)
)]  # fmt: skip
KINDS: dict[str, Any] = {"filter": "Low Filter", "remediation": None, "empty": "", "number": 5, "absent": ...}


@pytest.mark.parametrize("way", ["POST", "GET", "list"])
@pytest.mark.parametrize("requested", POLICIES, ids=str)
def test_every_pair_of_a_requested_and_a_returned_policy(requested: Policy, way: str) -> None:
    """Only the requested policy passes; a kind that is not stated is that of a filter, unless the POST had another."""
    row = GENERATIONS[Policy][["POST", "GET", "list"].index(way)]
    for number, name, kind in itertools.product(
        (3, 4, 0, -3, 2**31 - 1, 2**31), ("A", "B", "a", "A ", "\uff21"), KINDS
    ):
        status = policy(number=number, name=name, evaluated=FRESH)
        status = put(status, ("policy", "filterName"), KINDS[kind])
        content = [policy("FAILING", 99, "Z", FRESH), status] if way == "list" else status
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(GENERATIONS, Policy, (row,))
            reason, _ = verdict(requested, json.dumps(wrapped(content)).encode())
        is_called = number == requested.id if requested.name is None else name == requested.name
        stated = {"filter": False, "remediation": True}.get(kind)
        if requested.name is None:
            is_right = True
        elif stated is not None:
            is_right = stated is requested.remediation
        else:
            is_right = not requested.remediation or way == "POST"
        expected = Reason.PROTOCOL if way != "list" else Reason.POLICY_UNKNOWN
        if is_called:
            expected = Reason.POLICY_PASSED if is_right else Reason.POLICY_UNKNOWN
        if not 0 < number < 2**31:
            expected = Reason.PROTOCOL
        assert reason is expected, (number, name, kind)
