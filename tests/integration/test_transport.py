"""Hostile and odd servers: none of their bytes counts as another response, and none stops the gate."""

from __future__ import annotations

import gzip
import resource
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.model.subjects import Target
from gate.net.http import RESPONSE_LIMIT
from tests.memory import peak
from tests.raw import request_head, talking
from tests.steps import Step
from tests.uploads import APPLICATION, client, envelope, http, refused

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Gate, Ran


DONE, QUEUED = (
    http(envelope({"status": status, "error": False, "appId": APPLICATION})) for status in ("DONE", "QUEUED")
)
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
NOTHING = http(b"")


def poll(gate: Gate, url: str, *args: str) -> Ran:
    """Run the gate with one poll of scan 41."""
    return gate("--url", url, "--pending-scan-id", "41", "--timeout", "0", *args)


def responding(*parts: bytes, times: int = 1) -> Callable[[socket.socket], None]:
    """Send `parts` in response to each request, the last part `times` times."""

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        for part in parts[:-1]:
            connection.sendall(part)
        for _ in range(times):
            connection.sendall(parts[-1])

    return talk


def pause_between(*parts: bytes) -> Callable[[socket.socket, bytes], None]:
    """Send `parts` and the response of the scan, with a pause before the last part."""

    def say(connection: socket.socket, own: bytes) -> None:
        for part in parts:
            connection.sendall(part)
        time.sleep(0.05)
        connection.sendall(own)

    return say


# As on a connection that is kept: the response of a request may still be on its way when the next request is made.
STRAY: dict[str, Callable[[socket.socket, bytes], None]] = {
    "103-and-late": pause_between(EARLY_HINTS),
    "204-and-late": pause_between(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "empty-200-and-late": pause_between(NOTHING),
    "twice": lambda connection, own: connection.sendall(own + own),
    "another-first": lambda connection, own: connection.sendall(NOTHING + own),
}


@pytest.mark.parametrize(
    ("case", "secure"), [*((case, False) for case in STRAY), ("103-and-late", True), ("twice", True)]
)
def test_a_stray_response_never_counts_for_another_scan(
    case: str,
    secure: bool,  # noqa: FBT001 - a case of the table
    gate: Gate,
    server_tls: tuple[ssl.SSLContext, Path],
) -> None:
    """One scan of four is done; the server keeps connections open, and sends too much, too late or twice."""

    def talk(connection: socket.socket) -> None:
        while head := request_head(connection):
            STRAY[case](connection, DONE if b"/pendingScan/41/" in head else QUEUED)

    context, trusted = server_tls
    with talking(talk, context if secure else None) as url:
        args = ("--ca-file", str(trusted)) if secure else ()
        ran = gate("--url", url, "--pending-scan-id", "41,42,43,44", "--timeout", "200ms", *args)
    assert {scan["verdict"] for scan in ran.document["scans"] if scan["pending_scan_id"] != 41} == {"unknown"}


@pytest.mark.parametrize("parts", [(EARLY_HINTS,), (PROCESSING, EARLY_HINTS, EARLY_HINTS)], ids=["103", "102-103-103"])
def test_interim_responses_are_skipped(parts: tuple[bytes, ...], gate: Gate) -> None:
    with talking(
        lambda connection: pause_between(*parts)(connection, DONE if request_head(connection) else b"")
    ) as url:
        ran = poll(gate, url)
    assert (ran.code, ran.document["polls"]) == (0, 1)


def test_a_change_of_protocol_is_not_a_response(gate: Gate) -> None:
    """101 ends HTTP on a connection, so the bytes after it are not a response."""
    with talking(responding(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + DONE)) as url:
        ran = poll(gate, url)
    assert (ran.document["reason"], ran.code) == (Reason.PROTOCOL, 7)


def test_endless_interim_responses_end_at_the_time_limit(gate: Gate) -> None:
    with talking(responding(EARLY_HINTS * 100, times=10**9)) as url:
        ran = poll(gate, url, "--request-timeout", "200ms")
    assert ran.document["reason"] == Reason.UNREACHABLE
    assert "did not respond within 0.2s" in ran.document["message"]


# --- Bodies that break their own headers.


def test_the_body_of_a_redirect_is_not_read_without_limit(gate: Gate) -> None:
    """A small body on the wire would be many mebibytes in memory."""
    bomb = gzip.compress(bytes(64 * 2**20), 1)
    with talking(responding(http(bomb, b"302 Found", b"Location: /login", b"Content-Encoding: gzip"))) as url:
        needed = peak(lambda: poll(gate, url))
    assert needed < 16 * RESPONSE_LIMIT


@pytest.mark.parametrize("where", [b"/\xfcberall/anmelden", b"http://[::1/a", b"http://a:port/", b"\xff\xfe", b"//["])
def test_a_redirect_to_an_invalid_url_is_still_a_redirect(where: bytes, gate: Gate) -> None:
    """The gate never parses the target, because it never follows it."""
    with talking(responding(http(b"", b"302 Found", b"Location: " + where))) as url:
        ran = poll(gate, url)
    assert (ran.document["reason"], ran.code) == (Reason.PROTOCOL, 7)
    assert "a redirect to" in ran.document["message"]


@pytest.mark.parametrize("size", [b"-1", b"-ffffffff", b"x"])
def test_a_chunk_without_a_valid_size_is_a_broken_response(size: bytes, gate: Gate) -> None:
    """A negative size would be read without a limit, or break the gate."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
    with talking(responding(head, bytes(2**20), times=64)) as url:
        assert peak(lambda: poll(gate, url)) < 16 * RESPONSE_LIMIT
        assert poll(gate, url).document["reason"] == Reason.UNREACHABLE


@pytest.mark.parametrize("cookie", [b"a=b; Domain=.example.org; Path=/", b"=; expires=\xff", b"x" * 60_000])
def test_cookies_are_not_parsed(cookie: bytes, gate: Gate, recwarn: pytest.WarningsRecorder) -> None:
    """The gate keeps no cookie, so it parses none; parsing could print warnings outside the log."""
    with talking(responding(DONE.replace(b"\r\n\r\n", b"\r\nSet-Cookie: " + cookie + b"\r\n\r\n", 1))) as url:
        assert poll(gate, url).code == 0
    assert not recwarn.list


# --- Texts made to be slow. Each would take hours; a pattern that is slow holds every thread while it runs.


SLOW = {
    **{f"refusal-{text[:3]}": (refused(text), Reason.NOT_FOUND)
       for text in ("“" * 170_000, "'" * 999_999, "api" * 300_000, "“'\"" * 90_000)},
    **{f"page-{page[6:8].decode()}": (page, Reason.PROTOCOL)
       for page in (b"<title" * 170_000, b"<title>" * 140_000, b"<" * 2**20)},
}  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), SLOW.values(), ids=SLOW)
def test_a_text_of_a_million_characters_is_read_in_time(body: bytes, reason: Reason, gate: Gate) -> None:
    assert len(body) <= RESPONSE_LIMIT
    with talking(responding(http(body))) as url:
        assert poll(gate, url).document["reason"] == reason


# --- Requests that were given up.


def test_closing_aborts_the_current_requests() -> None:
    """A stopped gate needs its file descriptors for its reports."""
    requested, hung_up = threading.Event(), threading.Event()

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        requested.set()
        connection.recv(1)
        hung_up.set()

    with talking(talk) as url:
        threadfix = client(url)
        thread = threading.Thread(target=threadfix.observe, args=(Target(6, 41), 60.0), daemon=True)
        thread.start()
        assert requested.wait(30)
        threadfix.http.close()
        assert hung_up.wait(30)
        thread.join(30)
        assert not thread.is_alive()


# --- A machine that has little left.


@pytest.mark.parametrize(
    ("descriptors", "scans", "says"), [(64, 40, "PASS (processed)"), (20, 60, "no file descriptors left")]
)
def test_many_scans_need_few_file_descriptors(descriptors: int, scans: int, says: str, gate: Gate) -> None:

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        time.sleep(0.1)
        connection.sendall(DONE)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    step, numbers = Step(gate, gate.folder), ",".join(map(str, range(41, 41 + scans)))
    with talking(talk) as url:
        ran = step.run("--url", url, "--pending-scan-id", numbers, preexec_fn=limit)
    assert (ran.returncode, step.reason) == (0, "processed"), ran.stderr
    assert says in ran.stderr


# --- The environment and the key.


def test_a_socks_proxy_is_never_bypassed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if its packages are installed: such a connection could not be shut down."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    threadfix = client("https://tf.invalid")
    result = threadfix.observe(Target(6, 41), 5.0)
    assert isinstance(result, Failure)
    assert "SOCKS" in result.what
