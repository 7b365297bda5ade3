"""Hostile, odd and broken servers: their bytes count as no other response, stop nothing, and leak nothing."""

from __future__ import annotations

import gzip
import os
import resource
import select
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from urllib3.connection import HTTPConnection, HTTPSConnection

from gate.model.history import Failure, ScanReading
from gate.model.reasons import Reason
from gate.model.subjects import Target
from gate.net.duplex import Duplex
from gate.net.framing import MOST_CHUNKS
from gate.net.http import RESPONSE_LIMIT
from tests.memory import peak
from tests.raw import request_head, talking
from tests.steps import Step
from tests.uploads import APPLICATION, PLAN, client, envelope, http, new_file, refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Gate, Ran

BODY = envelope({"status": "DONE", "error": False, "appId": APPLICATION})
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
SIZE = b"%x" % len(BODY)
PACKED = gzip.compress(BODY)


def responds(*lines: bytes, body: bytes = BODY, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response with these header lines, and with a body that passes if it counts."""
    return b"\r\n".join((first, *lines, b"", body))


DONE = responds(LENGTH)
QUEUED = http(envelope({"status": "QUEUED", "error": False, "appId": APPLICATION}))
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


# --- Texts made to be slow. Each would take hours; a pattern that is slow holds every thread while it runs.


SLOW = {
    **{f"refusal-{len(text)}": (refused(text), Reason.NOT_FOUND)
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


# --- Responses that break a rule of HTTP.


def chunks(*bodies: bytes) -> list[bytes]:
    """Responses with bodies in chunks; `S` is the size of the usual body, and `B` the body."""
    return [responds(CHUNKED, body=body.replace(b"S", SIZE).replace(b"B", BODY)) for body in bodies]


BROKEN: dict[str, list[bytes]] = {
    "status-line": [responds(LENGTH, first=line) for line in (
        b"HTTP/1.1 0200 OK", b"HTTP/1.1 +200 OK", b"HTTP/1.1 2_00 OK", b"HTTP/1.1 200.0", b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1 200\x00OK", b"HTTP/1.1 20\xb2 OK", b"HTTP/1.1 20",
        b"HTTP/2 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.11 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 200 OK\rX: y", b"ICY 200 OK", b"200 OK", b"", b"HTTP/1.1 OK",
    )],
    "header": [responds(line, LENGTH) for line in (
        b"no colon", b"X: y\r\n folded", b"X : y", b": y", b"X\x00: y", b"X: \x00", b"X: a\rY: b", b"\xff: y",
        b"X y: z", b"X: \x1b[2J", b"(X): y", b"X: y\r\n\tfolded",
    )],
    "length": [responds(*lines) for lines in (
        (LENGTH, b"Content-Length: 1"), (LENGTH, LENGTH), (b"Content-Length: +5",), (b"Content-Length: -1",),
        (b"Content-Length: 1_0",), (b"Content-Length: \xb2",), (b"Content-Length: " + b"9" * 30,),
        (LENGTH + b", 5",), (LENGTH + b".0",), (b"Content-Length: ",), (LENGTH, CHUNKED),
        (b"Content-Length: %d" % (len(BODY) + 1),),
    )],
    "encoding": [responds(line, body=b"%s\r\n%s\r\n0\r\n\r\n" % (SIZE, BODY)) for line in (
        b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: xchunked", b'Transfer-Encoding: "chunked"', CHUNKED + b"\r\n" + CHUNKED,
        b"Transfer-Encoding: ", b"Transfer-Encoding: chunked;q=1",
    )],
    "chunk": chunks(
        b"S\r\nB\r\n", b"S\r\nB\r\n0\r\n", b"S\r\nB", b"S\r\nB\r\n0\r\nno colon\r\n\r\n", b"S\r\nB0\r\n\r\n",
        b"+S\r\nB\r\n0\r\n\r\n", b"0xS\r\nB\r\n0\r\n\r\n", b"S\r\nB\r\n-1\r\n\r\n", b" S\r\nB\r\n0\r\n\r\n",
        b"S;\x00\r\nB\r\n0\r\n\r\n", b"1\r\nB\r\n0\r\n\r\n", b"B", b"", b"f" * 20 + b"\r\nB",
    ),
    "packed": [
        responds(b"Content-Encoding: " + coding, b"Content-Length: %d" % len(content), body=content)
        for coding, content in (
            (b"gzip", BODY), (b"gzip", PACKED[:-1]), (b"gzip", PACKED[:-8]), (b"gzip", PACKED + b"x"),
            (b"gzip", PACKED[:-8] + bytes(8)), (b"deflate", BODY), (b"br", BODY), (b"gzip, gzip", PACKED),
            (b"identity, gzip", PACKED), (b"x", BODY), (b"gzip," * 40 + b"gzip", PACKED),
        )
    ],
    "head": [
        responds(*[b"X: " + b"y" * 1000] * 99, b"Z: " + b"z" * 70_000, LENGTH), responds(*[b"X: y"] * 200, LENGTH),
        b"", b"\x15\x03\x01\x00\x02\x02\x46",
    ],
}  # fmt: skip
"""Responses that would pass if their broken part were ignored; each breaks another rule of HTTP."""


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_response_is_unreachable_and_transient(kind: str) -> None:
    responses = iter([response for broken in BROKEN[kind] for response in (broken, DONE)])

    def talk(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(next(responses))

    with talking(talk) as url:
        for number, _ in enumerate(BROKEN[kind]):
            result, after = (client(url).observe(Target(6, 41), 5.0) for _ in range(2))
            assert isinstance(result, Failure), number
            assert (result.reason, result.final) == (Reason.UNREACHABLE, False), number
            assert isinstance(after, ScanReading)


@pytest.mark.parametrize(
    "response",
    [
        responds(LENGTH, first=b"HTTP/1.0 200"), responds(LENGTH, first=b"HTTP/1.1 200 "),
        responds(b"Content-Length:%d" % len(BODY)),
        responds(first=b"HTTP/1.1 200 \xfc"), DONE.replace(b"\r\n", b"\n"), responds(LENGTH, body=BODY + DONE),
        responds(b"transfer-encoding: CHUNKED ", body=b'0%s ;a="b"\r\n%s\r\n000;x\r\nX: y\r\n\r\n' % (SIZE, BODY)),
        responds(CHUNKED, body=b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\n\n"),
        responds(b"Content-Encoding: GZIP", body=PACKED), responds(b"Content-Encoding: x-gzip", body=PACKED),
        responds(b"Content-Encoding: deflate", body=zlib.compress(BODY)), responds(b"Content-Encoding: identity"),
        responds(b"X: \xff\ty", b"X:", LENGTH), responds(b"Date: \xff", b"Date: x", LENGTH),
    ],
)  # fmt: skip
def test_a_response_in_any_allowed_form_counts(response: bytes, gate: Gate) -> None:
    with talking(responding(response)) as url:
        assert poll(gate, url).code == 0


def test_too_many_tiny_chunks_or_headers_are_broken_off() -> None:
    """A mebibyte of chunks would take seconds to read."""
    chunks = responds(CHUNKED, body=b"1\r\n \r\n" * (MOST_CHUNKS + 1))
    for response, what in ((chunks, "chunks"), (responds(*[b"X: %64d" % 0] * 2_000, LENGTH), "headers")):
        with talking(responding(response)) as url:
            result = client(url).observe(Target(6, 41), 30.0)
        assert isinstance(result, Failure)
        assert (result.reason, result.final) == (Reason.UNREACHABLE, False)
        assert result.what.endswith(f" has too many {what}.")


# --- Bytes that came before the request.


def early(connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Send a response before the request; with TLS in the last segment of the handshake."""
    if not tls:
        connection.sendall(DONE)
        connection.recv(1)
        return
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(outgoing.read())
            incoming.write(connection.recv(65536))
    session.write(DONE)
    connection.sendall(outgoing.read())
    connection.recv(1)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this machine slow: each request is sent only after the server's first bytes have arrived."""

    def connect(self: Any, original: Callable[[Any], None]) -> None:  # noqa: ANN401 - a connection of either class
        original(self)
        select.select([self.sock], [], [], 10)

    for kind in (HTTPConnection, HTTPSConnection):
        monkeypatch.setattr(kind, "connect", lambda self, original=kind.connect: connect(self, original))


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("what", ["status", "upload"])
@pytest.mark.parametrize("way", ["http", "https", "http-proxy", "https-proxy"])
def test_a_response_before_its_request_is_a_broken_response(
    what: str, way: str, server_tls: tuple[ssl.SSLContext, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheme, _, proxy = way.partition("-")
    tls = server_tls[0] if scheme == "https" else None
    monkeypatch.setattr(server_tls[0], "maximum_version", ssl.TLSVersion.TLSv1_2)

    def talk(connection: socket.socket) -> None:
        if proxy and tls:
            assert request_head(connection).startswith(b"CONNECT tf.invalid:443 ")
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        early(connection, tls)

    with talking(talk) as url:
        if proxy:
            monkeypatch.setenv(f"{scheme}_proxy", url.removesuffix("/threadfix"))
        address = "tf.invalid" if proxy else url.partition("//")[2]
        threadfix = client(f"{scheme}://{address}", insecure=True)
        result: object = threadfix.observe(Target(6, 41), 10.0)
        if what == "upload":
            result = threadfix.upload(6, PLAN, new_file(tmp_path), lambda *_: None)
    assert isinstance(result, Failure)
    assert (result.reason, result.final, result.unsent) == (Reason.UNREACHABLE, False, True)
    assert "began before the request was sent" in result.what


@pytest.mark.usefixtures("slow")
def test_a_server_that_closes_before_the_request_gets_nothing() -> None:
    with talking(lambda _: None) as url:
        result = client(url).observe(Target(6, 41), 10.0)
    assert isinstance(result, Failure)
    assert (result.reason, result.final, result.unsent) == (Reason.UNREACHABLE, False, True)
    assert "closed the connection" in result.what


# --- Descriptors, threads and files.


def sends(response: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(response)


KINDS: tuple[Callable[[socket.socket], object], ...] = (
    *map(sends, (
        *(response for responses in BROKEN.values() for response in responses[::4]),
        DONE, responds(LENGTH, first=b"HTTP/1.1 204 No Content"), responds(first=b"HTTP/1.1 204 No Content", body=b""),
        responds(LENGTH, first=b"HTTP/1.1 304 Not Modified"),
        responds(b"Content-Length: 6", body=b"<html>", first=b"HTTP/1.1 503 X"),
        responds(b"Location: /login.jsp", first=b"HTTP/1.1 302 Found"), responds(body=bytes(2**20 + 1)),
        responds(b"Connection: keep-alive", LENGTH, body=BODY * 2),
        responds(b"Connection: Upgrade", first=b"HTTP/1.1 101 Switching Protocols"),
        responds(first=b"HTTP/1.1 103 Early Hints", body=b""),
    )),
    lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
)  # fmt: skip

SCRIPT = """
import gc, os, sys, threading, time
from pathlib import Path
from gate.model.subjects import Target
from tests.uploads import PLAN, client, new_file

url, kinds = sys.argv[1], int(sys.argv[2])
threadfix = client(url, insecure=True)

def left():
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(os.listdir(os.environ["TMPDIR"]))

def send_all():
    for kind in range(kinds):
        threadfix.observe(Target(6, kind + 1), 10.0)
        threadfix.upload(kind + 1, PLAN, file, lambda *_: None)

file = new_file(Path(os.environ["TMPDIR"]))
send_all()
# An object that only the garbage collector would close is a leak.
gc.disable()
before = left()
send_all()
until = time.monotonic() + 5
while (after := left()) != before and time.monotonic() < until:
    time.sleep(0.05)
print(before, after)
"""


@pytest.mark.unmeasured
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="POSIX systems other than Linux have no /proc")  # noqa: PTH112
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_no_response_leaks_a_descriptor_a_thread_or_a_file(
    *, secure: bool, server_tls: tuple[ssl.SSLContext, Path], tmp_path: Path
) -> None:
    def talk(connection: socket.socket) -> None:
        head = request_head(connection)
        part = head.partition(b"/pendingScan/" if head.startswith(b"GET") else b"/applications/")[2]
        KINDS[int(part.partition(b"/")[0]) - 1](connection)

    with talking(talk, server_tls[0] if secure else None) as url:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, url, str(len(KINDS))],
            env=dict(os.environ) | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.getcwd()},  # noqa: PTH109
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    assert ran.stderr == ""
    before, after = ran.stdout.strip().split(") (")
    assert before.strip("()") == after.strip("()")


def test_closing_aborts_the_current_requests() -> None:
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


def test_a_connection_that_breaks_while_it_sends_is_a_broken_pipe() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError, match="the connection broke"):
            Duplex(ours).send(b"x")
