"""Every kind of response from a server, and every kind of missing response, over real sockets."""

from __future__ import annotations

import gzip
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from gate.model.history import Failure, Finished
from gate.model.reasons import Reason
from gate.model.subjects import AllPolicies, ApplicationName, Policy, Target
from gate.net.http import Response, Transport
from gate.sandbox.scenarios import Fault, Raw, Reset, Scenario
from gate.sandbox.server import API_KEY, JSON, ThreadFix, envelope, refusal
from gate.text.sanitizer import Sanitizer
from gate.threadfix.api import ApiResponse
from gate.threadfix.policies import CheckReader
from gate.threadfix.responses import Envelope
from tests.memory import peak
from tests.raw import request_head, talking
from tests.uploads import FINISHED, PLAN, Counting, client, http, new_file

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from gate.threadfix.client import Client
    from tests.conftest import Gate, Serve

ONCE = ("--timeout", "0")
PATIENT = ("--first-contact-limit", "60s", "--outage-limit", "60s")
"""Limits that allow a second request. Without a second request, the first response was final."""
SHORT = ("--first-contact-limit", "200ms", "--outage-limit", "200ms")
HOUR = (("Retry-After", "3600"),)
LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>ThreadFix Login</title></head></html>"

DONE = {
    "id": 41, "active": True, "fileDataList": [{"id": 56, "originalName": "contoso.fpr"}], "appId": 6,
    "errorMessage": None, "status": "DONE", "error": False, "scanId": 12, "type": "upload", "name": "contoso.fpr",
    "time": 1570117773000, "scanMessage": "Scan Processing Completed. Statistics Update Queued.",
}  # fmt: skip


def scenario(fault: Callable[[int], Fault | None]) -> Scenario:
    """Return a pending scan that is done, unless `fault` returns a response to the n-th request."""
    return Scenario("test", "", Reason.PROCESSED, fault=fault)


def always(response: Fault) -> Scenario:
    """Return a pending scan that always gets this response."""
    return scenario(lambda _: response)


def first(*responses: Fault) -> Scenario:
    """Return a pending scan that gets these responses one after the other, and is done after them."""
    return scenario(lambda number: responses[number - 1] if number <= len(responses) else None)


def play(gate: Gate, scenarios: Iterable[Scenario], *args: str) -> list[dict[str, Any]]:
    """Wait for these pending scans in one run; return their entries in the result document."""
    numbers = [str(gate.threadfix.add(each)) for each in scenarios]
    scans: list[dict[str, Any]] = gate("--pending-scan-id", ",".join(numbers), *args).document["scans"]
    assert len(scans) == len(numbers)
    return scans


def body(content: bytes, *headers: tuple[str, str], code: int = 200) -> Raw:
    """Return a response whose content type is JSON."""
    return Raw(code, content, JSON, headers)


def changed(**changes: object) -> Raw:
    """Return a good response with changed fields; `...` leaves a field out."""
    return envelope({name: value for name, value in (DONE | changes).items() if value is not ...})


def twice(old: bytes, new: bytes) -> Raw:
    """Return a good response with one replacement in its text."""
    content = changed().body
    assert old in content
    return Raw(200, content.replace(old, new, 1), JSON)


def eventually(true: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true within five seconds."""
    give_up = time.monotonic() + 5
    while not (seen := true()) and time.monotonic() < give_up:
        time.sleep(0.02)
    return seen


# --- The reason for each response.

STRANGE = "\t\n\v\f\r\x00\x1c\x1f\x7f\x85\xa0\u2003\u2028\u200b\ufeff"
NOT_FOUND: tuple[Fault, ...] = (
    *map(refusal, (
        "Pending scan lookup failed. Check your ID.", "Application lookup failed. Check your ID.", "",
        # None of these is about the key.
        "Forbidden.", "No team found with name 'Permission API key'", "No team found with name 'Bob's restricted apps'",
        'No scan "authentication" found.', "No such scan as “API Key”.", "No perm\u0131\u017f\u017fion.",
        "No AP\u0131 \u212aey.",
    )),
    Raw(404, b"<html>"), refusal("Bad rest request due to unrecognized path.", 404), Raw(410),
)  # fmt: skip
UNREACHABLE: tuple[Fault, ...] = (
    *(Raw(code, b"<html>") for code in (408, 425, 429, 500, 502, 503, 504, 599)),
    refusal("API Key store is down", 500),
    Reset(),
    Raw(200, b"{", JSON, (("Content-Length", "400"), ("Connection", "close"))),
    *(body(b"no such thing", ("Content-Encoding", coding)) for coding in ("gzip", "deflate")),
)
DISGUISED = (*(f"{character}DONE" for character in STRANGE), *(f"DONE{character}" for character in STRANGE))
WRONG_TYPES: dict[str, tuple[object, ...]] = {
    "status": (..., None, 7, ["DONE"], " \t", "DONE\ud800", *DISGUISED),
    "error": (..., None, "false", 0),
    "appId": (..., None, "6", 6.0, True, 10**30),
}
PROTOCOL: tuple[Fault, ...] = (
    *(Raw(code, headers=(("Location", "/threadfix/login.jsp"),)) for code in (301, 302, 303, 307, 308)),
    Raw(302), Raw(200, LOGIN_PAGE), body(b""), Raw(204), Raw(205),
    *(Raw(code, changed().body, JSON) for code in (201, 202, 203, 206, 207, 226, 299)),
    # A name twice in an object, also in disguise, and in a field that is not read.
    twice(b'"error":false', b'"error":true,"error":false'),
    twice(b'"status":"DONE"', b'"status":"QUEUED","status":"DONE"'),
    twice(b'"error":', b'"st\\u0061tus":"QUEUED","error":'),
    twice(b'"responseCode":-1', b'"responseCode":-1,"object":{}'),
    twice(b'"success":true', b'"success":false,"success":true'),
    twice(b'"id":56', b'"id":56,"id":57'),
    # Not JSON, or not ThreadFix's; `test_json` has more.
    *map(body, (
        b"null", b"[]", b'{"success":true,"object":{"status":"DO', changed().body + b" trailing", b"{}",
        json.dumps(DONE).encode(), b'{"success":"true","object":{}}', b'{"success":1,"object":{}}', b'{"success":true}',
    )),
    envelope("Scan upload process started."), envelope([DONE]), envelope(None),
    *(changed(**{name: value}) for name, values in WRONG_TYPES.items() for value in values),
)  # fmt: skip
TEMPORARY = {Reason.NOT_FOUND: NOT_FOUND, Reason.UNREACHABLE: UNREACHABLE, Reason.PROTOCOL: PROTOCOL}


@pytest.mark.parametrize(("reason", "responses"), TEMPORARY.items())
def test_a_temporary_error_has_a_reason_and_is_retried(
    reason: Reason, responses: tuple[Fault, ...], gate: Gate
) -> None:
    """No such response passes. The next request succeeds."""
    stays = play(gate, map(always, responses), *ONCE)
    assert [(scan["reason"], scan["exit_code"]) for scan in stays] == [(reason, reason.row.exit_code)] * len(stays)
    passes = play(gate, map(first, responses), *PATIENT)
    assert [(scan["reason"], scan["polls"]) for scan in passes] == [(Reason.PROCESSED, 2)] * len(passes)


DENIED: tuple[Fault, ...] = (
    *map(refusal, (
        "Authentication failed, check your API Key.", "API Key not found in database.",
        "The requested URL is restricted for your API Key.", "You do not have permission to upload scans.",
        "You don't have permission to do that. Can't continue.", "User 'bob' is NOT AUTHORIZED.",
        "x" * 2000 + " API Key not found in database.",
    )),
    refusal("Permission denied.", 404), refusal("API Key not found in database.", 404), refusal("Forbidden", 403),
    Raw(401, b"<html>", headers=(("WWW-Authenticate", "Basic"),)),
)  # fmt: skip
FINAL = [
    *((response, Reason.DENIED) for response in DENIED),
    *((Raw(code, b"<html>"), Reason.PROTOCOL) for code in (400, 402, 405, 406, 409, 422, 431, 451)),
    # A proxy's login, and its key.
    (Raw(407, b"<html>"), Reason.UNREACHABLE),
    (refusal("Wrong API key.", 407), Reason.UNREACHABLE),
    # Another application, and an application beyond all ids.
    (changed(appId=7), Reason.PROTOCOL),
    (changed(appId=2**62), Reason.PROTOCOL),
]


def test_an_error_that_does_not_go_away_is_final(gate: Gate) -> None:
    """At first, and after a good response. There is time for another request, and its response would be good."""
    for before in ((), (changed(status="QUEUED"),)):
        gate.threadfix.seen.clear()
        scans = play(gate, [first(*before, response) for response, _ in FINAL], *PATIENT)
        expected = [("unknown", reason, reason.row.exit_code, len(before) + 1) for _, reason in FINAL]
        assert [tuple(scan[key] for key in ("verdict", "reason", "exit_code", "polls")) for scan in scans] == expected
        assert len(gate.threadfix.seen) == len(FINAL) * (len(before) + 1)


def test_a_scan_vanishes_only_by_threadfix_s_own_response(gate: Gate) -> None:
    responses = [
        (Raw(404, b"<html>"), Reason.NOT_FOUND), (Raw(410), Reason.NOT_FOUND),
        (body(b'{"success": true}', code=404), Reason.NOT_FOUND),
        *((refusal("Pending scan lookup failed.", code), Reason.SCAN_VANISHED) for code in (200, 404)),
    ]  # fmt: skip

    def vanishing(response: Fault) -> Scenario:
        return scenario(lambda number: response if number > 1 else changed(status="QUEUED"))

    scans = play(gate, [vanishing(response) for response, _ in responses], *SHORT)
    assert [scan["reason"] for scan in scans] == [reason for _, reason in responses]
    assert "returned HTTP 404. " in scans[2]["message"]


# --- Good responses of different versions of ThreadFix.


def test_decoration_of_the_wrong_type_counts_as_unknown(gate: Gate) -> None:
    fields = [
        *(("scanId", value) for value in ("12", True, -5, {"id": 12}, 2**31)),
        ("name", 7), ("name", ["contoso.fpr"]), ("name", "half an emoji \ud83d"), ("errorMessage", 7),
        ("errorMessage", "\udc00"), ("scanMessage", {}), ("scanMessage", "\ud800"), ("unknown", {"deep": [1, None]}),
    ]  # fmt: skip
    scans = play(gate, [always(changed(**{field: value})) for field, value in fields])
    expected = [("pass", None if field == "scanId" else 12) for field, _ in fields]
    assert [(scan["verdict"], scan["scan_id"]) for scan in scans] == expected


def test_the_envelope_s_message_stands_in_for_that_of_the_scan(gate: Gate) -> None:
    content = {"status": "SCAN_DELETED", "error": False, "appId": 6}
    response = body(json.dumps({"success": True, "message": "By an administrator", "object": content}).encode())
    assert "By an administrator" in gate.play(always(response)).document["message"]


def test_the_status_path_can_be_changed(gate: Gate, serve: Serve) -> None:
    """The ids replace the placeholders of the pattern."""

    class Elsewhere(ThreadFix):
        def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
            assert path == "/threadfix/api/v3/pending/41?app=6"
            return super().respond(method, "/threadfix/rest/latest/applications/6/pendingScan/41/status", headers, body)

    pattern = "api/v3/pending/{pending_scan_id}?app={application_id}"
    ran = gate("--url", serve(Elsewhere(speed=1000)), "--pending-scan-id", "41", "--status-path", pattern)
    assert ran.code == 0


def test_the_request_has_the_headers_that_threadfix_needs(gate: Gate) -> None:
    """Without `Accept: application/json` ThreadFix does not find the endpoint. No cache may respond."""
    gate.play(always(changed()))
    (sent,) = gate.threadfix.headers
    assert (sent["authorization"], sent["accept"]) == (f"APIKEY {API_KEY}", "application/json")
    assert sent["cache-control"] == "no-cache"
    assert "content-type" not in sent
    assert gate.threadfix.seen[0][0] == "GET"


# --- Retry-After.


def test_retry_after_counts_with_any_error(gate: Gate) -> None:
    """Each response asks for an hour, so the second request is the last, at the limit."""
    scans = play(gate, [always(Raw(code, headers=HOUR)) for code in (404, 302, 429)], *SHORT)
    assert [scan["polls"] for scan in scans] == [2, 2, 2]


# --- Redirects, caches and cookies.


def test_no_redirect_is_followed(gate: Gate, serve: Serve) -> None:
    """The gate does not even connect to the other server."""
    other = ThreadFix()
    for where in ("/threadfix/login.jsp", serve(other)):
        codes = (301, 302, 303, 307, 308)
        scans = play(gate, [always(Raw(code, headers=(("Location", where),))) for code in codes], *ONCE)
        assert {scan["reason"] for scan in scans} == {Reason.PROTOCOL}
        assert all(f"a redirect to {where}, which the gate does not follow" in scan["message"] for scan in scans)
    assert other.connections == 0
    assert {path.rpartition("/")[2] for _, path, _ in gate.threadfix.seen} == {"status"}


def test_no_cookie_is_kept(gate: Gate) -> None:
    gate.play(first(Raw(503, headers=(("Set-Cookie", "JSESSIONID=7; Path=/"),))), *PATIENT)
    assert len(gate.threadfix.headers) == 2
    assert not [sent for sent in gate.threadfix.headers if "cookie" in sent]


# --- Large responses.


def responding(response: bytes) -> Callable[[socket.socket], None]:
    """Return the function that reads a request from a connection, and sends a response."""
    return Counting((lambda incoming: incoming.read().connection.sendall(response),)).talk


NAMED = [{"id": 6, "name": "Shop"}]
STATUS = [{"policy": {"id": 3, "name": "PCI"}, "currentStatus": "PASSING"}]
CALLS: dict[str, tuple[int, object, Callable[[Client], object]]] = {
    "status": (1, DONE, lambda client: client.observe(Target(6, 41), 20)),
    "application": (64, NAMED[0], lambda client: client.application(6, 20)),
    "scans": (64, [], lambda client: client.scans(6, 20)),
    "team": (64, NAMED, lambda client: client.look_up(ApplicationName("Web", "Shop"), 20)),
    "policies": (64, STATUS, lambda client: CheckReader(client.api, AllPolicies(), 6)(20)),
    "policy": (1, STATUS[0], lambda client: CheckReader(client.api, Policy(3), 6)(20)),
}
"""The mebibytes that a response may have, a good response, and the call."""


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(("mebibytes", "content", "call"), CALLS.values(), ids=CALLS)
def test_each_response_has_a_limit(
    mebibytes: int, content: object, call: Callable[[Client], object], more: int
) -> None:
    """It holds after decompression. ThreadFix describes an application with every scan it ever had."""
    whole = envelope(content).body.ljust(mebibytes * 2**20 + more)
    for response in (
        http(gzip.compress(whole, 1), b"200 OK", b"Content-Encoding: gzip"), *([http(whole)] if mebibytes == 1 else [])
    ):  # fmt: skip
        with talking(responding(response)) as url:
            result = call(client(url))
        assert isinstance(result, Failure) is bool(more), result
        if isinstance(result, Failure):
            assert f"returned more than {mebibytes} MiB" in result.what


def test_a_legacy_upload_s_response_may_have_all_findings(tmp_path: Path) -> None:
    findings = [{"id": number, "attackString": "x" * 400} for number in range(20_000)]
    response = http(envelope(FINISHED | {"findings": findings}).body)
    assert len(response) > 8 * 2**20
    with talking(responding(response)) as url:
        receipts = [
            client(url, version=version).upload(6, PLAN, new_file(tmp_path), lambda *_: None)
            for version in ("legacy", "latest")
        ]
    assert [isinstance(receipt, Finished) for receipt in receipts] == [True, False]


def test_reading_a_response_counts_towards_the_limit_of_its_request() -> None:
    over = threading.Event()
    with talking(responding(http(b"{}"))) as url:
        api = client(url).api
        transport = Transport(api.server, Sanitizer(), lambda _: None, lambda _: over.wait(60))
        response = ApiResponse(Response(200, {}, b""), Envelope(success=True))
        results = (
            transport.request(url, 0.2),
            api.converted(response, lambda _: over.wait(60), "", time.monotonic() + 0.2),
        )
        over.set()
    assert [isinstance(result, Failure) and result.timed_out for result in results] == [True, True]


def test_the_memory_of_a_response_is_bounded(gate: Gate) -> None:
    """Neither a response of 100 MiB nor a compressed response of 100 KiB takes 100 MiB of memory."""
    long, ran = bytes(100 * 2**20), []
    for bomb in (body(gzip.compress(long, 6), ("Content-Encoding", "gzip")), body(long)):
        assert peak(lambda bomb=bomb: ran.append(gate.play(always(bomb), *ONCE))) < 16 * 2**20  # type: ignore[misc]
        assert ran[-1].document["reason"] == Reason.PROTOCOL
        assert "more than 1 MiB" in ran[-1].document["message"]


# --- No response.


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
HANGING: dict[str, bytes] = {
    "no-response": b"",
    "status-line": b"HTTP/1.1 200 ",
    "headers": HEAD + b"X-Slow: ",
    "body": HEAD + b"Content-Length: 4000\r\n\r\n{",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n{",
    "body-of-a-connection-to-be-closed": HEAD + b"Connection: close\r\n\r\n{",
    "body-of-http-1.0": b"HTTP/1.0 200 OK\r\n\r\n{",
}
"""The beginning of a response. A blank follows now and then, forever, unless the beginning is empty."""


@pytest.mark.parametrize("beginning", HANGING.values(), ids=HANGING)
def test_one_time_limit_covers_a_whole_request(beginning: bytes, gate: Gate) -> None:
    """The gate continues in time, and the request's connection and thread end."""
    over, hung_up = threading.Event(), threading.Event()
    servers = ("process_request", "serve_forever", "watch")
    before = set(threading.enumerate())

    def watch(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(1)
        hung_up.set()

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        threading.Thread(target=watch, args=(connection,), daemon=True).start()
        connection.sendall(beginning)
        while not over.wait(0.02):
            connection.sendall(b" " if beginning else b"")

    def given_up() -> bool:
        new = set(threading.enumerate()) - before
        return all(any(name in thread.name for name in servers) for thread in new)

    with talking(talk) as url:
        ran = gate("--url", url, "--pending-scan-id", "41", "--request-timeout", "200ms", *ONCE)
        on_time, gave_up = hung_up.wait(5), eventually(given_up)
        over.set()
    assert (ran.document["reason"], ran.document["polls"]) == (Reason.UNREACHABLE, 1)
    assert "did not respond within 0.2s" in ran.document["message"]
    assert on_time
    assert gave_up


# --- Connections.


def test_no_connection_serves_two_requests(gate: Gate) -> None:
    """Surplus bytes, late and repeated responses must not count for another request."""
    queued = changed(status="QUEUED")
    ran = gate.play(first(queued, Raw(502, b"<html>"), queued, Raw(302), refusal("no"), queued), *PATIENT)
    assert (ran.code, ran.document["polls"], gate.threadfix.connections) == (0, 7, 7)
    assert {sent["connection"] for sent in gate.threadfix.headers} == {"close"}


# --- Proxies.


@dataclass(slots=True)
class Proxied(ThreadFix):
    """A proxy that serves ThreadFix itself: the path of each request is a complete URL."""

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        return ThreadFix.respond(self, method, urlsplit(path).path, headers, body)


def test_a_proxy_serves_hosts_other_than_this_host(gate: Gate, serve: Serve) -> None:
    """With plain http the proxy gets the request itself, so only the proxy must know the server's name."""
    proxy = Proxied()
    there = {"HTTP_PROXY": serve(proxy).removesuffix("/threadfix")}
    number = str(proxy.add(always(changed())))
    options = ("--url", "http://tf.invalid/threadfix", "--allow-http", "--pending-scan-id", number)
    ran = gate(*options, env=there)
    assert (ran.code, len(proxy.seen)) == (0, 1)
    assert proxy.seen[0][1].startswith("http://tf.invalid/threadfix/rest/")
    for exempt in ("NO_PROXY", "no_proxy"):
        ran = gate(*options, *ONCE, env=there | {exempt: "other.example,.invalid"})
        assert "DNS lookup of tf.invalid failed" in ran.document["message"]
    assert proxy.connections == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_is_used_for_this_machine(host: str, gate: Gate, serve: Serve) -> None:
    """Plain http to loopback would otherwise show the key to the proxy."""
    proxy = Proxied()
    there = serve(proxy).removesuffix("/threadfix")
    url = gate.url.replace("127.0.0.1", host)
    number = str(gate.threadfix.add(always(changed())))
    env = {"HTTP_PROXY": there, "HTTPS_PROXY": there, "ALL_PROXY": there}
    assert gate("--url", url, "--pending-scan-id", number, env=env).code == 0
    assert proxy.connections == 0


def test_a_proxy_is_shown_no_key_under_tls(gate: Gate) -> None:
    """The request for a tunnel has the proxy's password and not the key. A refusal leads to a hint."""
    heads: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        heads.append(request_head(connection))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with talking(talk) as url:
        proxy = url.replace("http://", "http://robot:hunter2@").removesuffix("/threadfix")
        ran = gate("--url", "https://tf.invalid", "--pending-scan-id", "41", "-v", *ONCE, env={"HTTPS_PROXY": proxy})
    assert heads[0].startswith(b"CONNECT tf.invalid:443 ")
    assert b"Proxy-Authorization: Basic cm9ib3Q6aHVudGVyMg==" in heads[0]
    assert API_KEY.encode() not in heads[0]
    assert ran.document["reason"] == Reason.UNREACHABLE
    assert "NO_PROXY" in ran.document["hint"]
