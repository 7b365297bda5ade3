"""ThreadFix's JSON as typed shapes."""

from __future__ import annotations

import json

import pytest

from gate.threadfix.responses import (
    NotThreadFixError,
    identity,
    non_empty,
    parse,
    pass_criteria,
    pending_scan,
    policy_statuses,
    upload_response,
)
from gate.threadfix.shapes import MOST_OPENINGS

GOOD = b'{"message":"m","success":true,"responseCode":-1,"object":{"status":"DONE","error":false,"appId":6}}'


def test_only_fields_that_decide_the_verdict_are_required() -> None:
    """Other fields may be missing, as in older versions, or have any type."""
    scan = pending_scan(parse(GOOD))
    assert (scan.status, scan.error, scan.app_id, scan.scan_id, scan.name) == ("DONE", False, 6, None, None)
    odd = GOOD.replace(b'"appId":6', b'"appId":6,"scanId":"12","name":5,"errorMessage":[],"more":{}')
    scan = pending_scan(parse(odd))
    assert (identity(scan.scan_id), non_empty(scan.name), non_empty(scan.error_message)) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"<html>", b"\xff", b'{"success":1}', b'{"success":"true"}', b"{}", b"[" * 100_000,
        GOOD[:-1], GOOD + b"x", GOOD.replace(b'"error":false', b'"error":"false"'),
        GOOD.replace(b'"error":false,', b""),
        GOOD.replace(b'"appId":6', b'"appId":"6"'), GOOD.replace(b'"appId":6', b'"appId":true'),
        GOOD.replace(b',"appId":6', b""), GOOD.replace(b'"DONE"', b"null"), GOOD.replace(b'"DONE"', b'" "'),
        b'{"success":true,"object":null}', b'{"success":true,"object":"x"}',
    ],
)  # fmt: skip
def test_a_response_that_is_not_threadfix_s_is_refused(body: bytes) -> None:
    with pytest.raises(NotThreadFixError):
        pending_scan(parse(body))


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


def test_a_number_of_any_length_is_parsed_and_counts_as_unknown() -> None:
    scan = pending_scan(parse(GOOD.replace(b'"appId"', b'"scanId":' + b"7" * 5_000 + b',"appId"')))
    assert identity(scan.scan_id) is None


def test_a_response_to_an_upload_has_links() -> None:
    """Only these links have the pending scan's id; other links do not count."""
    body = b'{"success":true,"object":"started","links":[{"rel":"related","href":"/pendingScan/41"},{"href":"/other"}]}'
    assert upload_response(body) == ("/pendingScan/41",)
    with pytest.raises(NotThreadFixError, match="no link to a pending scan"):
        upload_response(body.replace(b"pendingScan", b"scan"))
    with pytest.raises(NotThreadFixError, match="shape"):
        upload_response(body.replace(b'"/other"', b"5"))


@pytest.mark.parametrize(
    ("value", "id_"),
    [(12, 12), (0, None), (2**31 - 1, 2**31 - 1), (2**31, None), (-1, None), (True, None), ("12", None), (1.0, None)],
)
def test_an_id_is_a_positive_whole_number(value: object, id_: int | None) -> None:
    """Any other value counts as unknown."""
    assert identity(value) == id_
