"""The JSON that ThreadFix answers, as typed shapes."""

from __future__ import annotations

import pytest

from gate.threadfix.responses import NotThreadFixError, envelope, identity, non_empty, pending_scan, upload_links

GOOD = b'{"message":"m","success":true,"responseCode":-1,"object":{"status":"DONE","error":false,"appId":6}}'


def test_only_what_the_verdict_rests_on_is_needed() -> None:
    """Everything else may be missing, as in older versions, or of any type."""
    scan = pending_scan(envelope(GOOD))
    assert (scan.status, scan.error, scan.app_id, scan.scan_id, scan.name) == ("DONE", False, 6, None, None)
    odd = GOOD.replace(b'"appId":6', b'"appId":6,"scanId":"12","name":5,"errorMessage":[],"more":{}')
    scan = pending_scan(envelope(odd))
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
def test_what_is_not_threadfix_s_is_refused(body: bytes) -> None:
    """Wrong or missing types of what the verdict rests on, and everything that is no JSON."""
    with pytest.raises(NotThreadFixError):
        pending_scan(envelope(body))


def test_an_upload_answers_with_links() -> None:
    """The only place where the pending scan's id is; links to anything else do not count."""
    body = b'{"success":true,"object":"started","links":[{"rel":"related","href":"/pendingScan/41"},{"href":"/other"}]}'
    assert upload_links(body) == ("/pendingScan/41",)
    with pytest.raises(NotThreadFixError, match="no link to a pending scan"):
        upload_links(body.replace(b"pendingScan", b"scan"))
    with pytest.raises(NotThreadFixError, match="shape"):
        upload_links(body.replace(b'"/other"', b"5"))


@pytest.mark.parametrize(
    ("value", "found"), [(12, 12), (0, None), (2**63, None), (-1, None), (True, None), ("12", None), (1.0, None)]
)
def test_an_id_is_a_positive_whole_number(value: object, found: int | None) -> None:
    """Anything else counts as not known."""
    assert identity(value) == found
