"""ThreadFix's JSON as typed shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.threadfix.responses import (
    Application,
    NotThreadFixError,
    application,
    applications,
    identity,
    parse,
    pass_criteria,
    pending_scan,
    policy_status,
    policy_statuses,
)
from gate.threadfix.shapes import DROPPED, MOST_OPENINGS, parse_json
from tests.memory import peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.threadfix.responses import Envelope

GOOD = b'{"message":"m","success":true,"responseCode":-1,"object":{"status":"DONE","error":false,"appId":6}}'


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b'{"success":1}', "`$.success` must be true or false, but is a whole number"),
        (b"[]", "`$` must be an object, but is a list"),
        (b"{}", "`$.success` is missing"),
        (GOOD.replace(b"6}", b"true}"), "`$.object.appId` must be a whole number, but is true or false"),
        (GOOD.replace(b"6}", b'"\\u001b[31m6"}'), "`$.object.appId` must be a whole number, but is text"),
        (GOOD.replace(b"6}", b"6.0}"), "must be a whole number, but is a fraction or a very large number"),
        (GOOD.replace(b"6}", b"6" * 20 + b"}"), "must be a whole number, but is a fraction or a very large number"),
        (GOOD.replace(b"6}", b"1e999}"), "must be a whole number, but is a fraction or a very large number"),
        (GOOD.replace(b'"DONE"', b"null"), "`$.object.status` must be text, but is null"),
        (b'{"success":true,"object":[]}', "`$.object` must be an object, but is a list"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_with_its_place_and_without_the_server_s_text(body: bytes, flaw: str) -> None:
    with pytest.raises(NotThreadFixError) as error:
        pending_scan(parse(body))
    assert str(error.value).endswith(flaw)


@pytest.mark.parametrize(
    ("read", "content", "flaw"),
    [
        (applications, {"id": 0, "name": "shop"}, "the id of an application is not valid"),
        (policy_status, {"policy": {"id": 1, "name": " "}, "passing": True}, "the policy's name is empty"),
        (pass_criteria, {"passing": True, "passed": [], "failed": [{"severity": 5}]}, "passing is true, but a crit"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(read: Callable[[Envelope], object], content: object, flaw: str) -> None:
    with pytest.raises(NotThreadFixError, match=f"^{flaw}"):
        read(parse(json.dumps({"success": True, "object": content}).encode()))


def test_the_place_of_a_wrong_type_in_a_list_has_its_index() -> None:
    good = {"policy": {"id": 1, "name": "PCI"}, "passing": True}
    for statuses in (
        [good, good | {"policy": {"id": 1}}],
        {"id": 6, "policyStatuses": [good, good | {"passing": None}]},
    ):
        body = json.dumps({"success": True, "object": statuses}).encode()
        with pytest.raises(NotThreadFixError, match=r"`\$\.object(\.policyStatuses)?\[1\]\.(policy\.name|passing)` "):
            policy_statuses(parse(body))
    body = b'{"success":true,"object":{"passing":true,"passed":[{"severity":5},6],"failed":[]}}'
    with pytest.raises(NotThreadFixError, match=r"`\$\.object\.passed\[1\]` must be an object, but is a whole number"):
        pass_criteria(parse(body))


@pytest.mark.parametrize("opening", [b"{", b"["])
@pytest.mark.parametrize("quoted", [True, False])
def test_a_million_objects_and_lists_are_not_parsed(opening: bytes, quoted: bool) -> None:  # noqa: FBT001 - a case
    """Their opening bytes are counted, including those in texts; one fewer is parsed."""
    within = b'{"success":true,"message":"%s"}' % (opening * (MOST_OPENINGS - 2))
    assert parse(within).success
    body = within.replace(b'":"', b'":"' + opening, 1) if quoted else opening * MOST_OPENINGS
    with pytest.raises(NotThreadFixError, match="1,000,000 or more objects and lists"):
        parse(body)


def without_lists(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON value with empty lists under the names that the gate never reads."""
    if isinstance(value, dict):
        drop = {name for name in DROPPED if isinstance(value.get(name), list)}
        return {name: [] if name in drop else without_lists(entry) for name, entry in value.items()}
    return [without_lists(entry) for entry in value] if isinstance(value, list) else value


def flawed(body: bytes, window: int) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON value in a body, or None if it is refused."""
    try:
        return [without_lists(parse_json(body, window=window))]
    except NotThreadFixError:
        return None


scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, width=32) | st.text()
names = st.sampled_from(["scans", "findings", "id", "ü日🎉"])
values = st.recursive(scalars, lambda more: st.lists(more) | st.dictionaries(names | st.text(), more), max_leaves=30)


@given(values, st.integers(32, 99), st.booleans(), st.sampled_from([None, 1]))
def test_a_long_response_is_parsed_in_windows_like_a_short_one(
    value: object,
    window: int,
    ascii_only: bool,  # noqa: FBT001 - a case
    indent: int | None,
) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert flawed(body, window) == flawed(body, len(body) + 1)


@given(values, st.integers(32, 99), st.integers(0, 400), st.sampled_from(b'{}[]",:\\0e.- tN\xff'), st.integers(0, 2))
def test_a_flaw_is_found_in_windows_too(value: object, window: int, at: int, byte: int, length: int) -> None:
    body = bytearray(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    body[at % (len(body) + 1) : at % (len(body) + 1) + length] = [byte]
    assert flawed(bytes(body), window) == flawed(bytes(body), len(body) + 1)


@pytest.mark.parametrize(
    "flaw", [b'"id":1,"id":2', b'"id":NaN', b'"id":x', b'"id":01', b'"id":1,', b'"id":"\xff"', b'"a":' + b"[" * 5_000]
)
def test_a_dropped_entry_is_checked_too(flaw: bytes) -> None:
    for scan, good in ((b'"id":1', True), (flaw, False)):
        body = b'{"success":true,"object":{"scans":[' + b"{%s}," % scan * 40 + b'{}],"findings":[' + b" " * 200 + b"]}}"
        for window in (10, 100, 10_000):
            assert (flawed(body, window) is not None) is good


def test_a_long_text_is_not_parsed_again_for_each_window(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            parsed.append(idx)
            return super().raw_decode(s, idx)

    monkeypatch.setattr(json, "JSONDecoder", Decoder)
    assert parse_json(b'["%s"]' % (b"x" * 100_000), window=100) == ["x" * 100_000]
    assert len(parsed) < 50


def test_memory_does_not_grow_with_the_scans_of_an_application() -> None:
    scan = json.dumps({"id": 5318, "name": "日本🎉" + "x" * 400}, ensure_ascii=False).encode()
    body = b'{"success":true,"object":{"scans":[' + b",".join([scan] * 60_000) + b'],"id":6,"name":"shop"}}'
    assert len(body) > 24 * 1024 * 1024
    assert peak(lambda: application(parse(body))) < 20 * 1024 * 1024
    assert application(parse(body)) == Application(6, "shop")


@pytest.mark.parametrize(
    ("value", "id_"),
    [(12, 12), (0, None), (2**31 - 1, 2**31 - 1), (2**31, None), (-1, None), (True, None), ("12", None), (1.0, None)],
)
def test_an_id_is_a_positive_whole_number(value: object, id_: int | None) -> None:
    """Any other value counts as unknown; a number of any length is parsed."""
    assert identity(value) == id_
    scan = pending_scan(parse(GOOD.replace(b'"appId"', b'"scanId":' + b"7" * 5_000 + b',"appId"')))
    assert identity(scan.scan_id) is None
