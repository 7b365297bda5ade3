"""Failed uploads over http and https: the reported state of the file, and that no file is ever sent twice."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gate.flow.signals import Signals
from gate.flow.uploading import upload_all
from gate.model.advice import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, advise
from gate.model.events import OutageBegan, UploadProgress
from gate.model.history import Failure, Queued, Receipt, Refused, Unfinished
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target
from gate.net.connections import Exchange
from gate.threadfix.refusals import REFUSALS
from tests.raw import talking
from tests.uploads import APPLICATION, LARGE, PLAN, TAKEN, Counting, Incoming, client, http, linked, new_file, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gate.model.events import UploadEvent
    from gate.model.history import Upload
    from gate.model.subjects import Plan
    from gate.threadfix.client import Client

    Script = Callable[[Incoming], object]
    Serving = Callable[..., tuple[Client, Counting]]
    Tls = tuple[ssl.SSLContext, Path]

SMALL = 1000
SOME = 100_000
"""Bytes of a body after which a server responds early."""
NOT_KNOWN = "Whether ThreadFix has the file is not known."
QUEUED = Queued((Target(APPLICATION, 41),))
HASTY = replace(PLAN, upload_timeout=0.4)
"""For a server that does not respond."""
BRISK = replace(PLAN, request_timeout=0.2)
"""For a server that pauses within its response."""


@pytest.fixture
def serving(request: pytest.FixtureRequest, server_tls: Tls) -> Iterator[Serving]:
    """Return a function that serves scripts over http, or https if that is the parameter.

    It returns a client, and the server with its counts.
    """
    tls, trusted = server_tls if getattr(request, "param", "http") == "https" else (None, None)
    with ExitStack() as stack:

        def serve(*scripts: Script) -> tuple[Client, Counting]:
            server = Counting(scripts)
            url = stack.enter_context(talking(server.talk, tls))
            stack.callback(server.over.set)
            return client(url, trusted), server

        yield serve


http_and_https = pytest.mark.parametrize("serving", ["http", "https"], indirect=True)


def takes(incoming: Incoming) -> None:
    """Read an upload, and queue it."""
    incoming.read().connection.sendall(TAKEN)


def all_of(uploader: Client, *files: ScanFile, plan: Plan = PLAN, **more: Any) -> tuple[Upload, ...]:  # noqa: ANN401
    """Return the uploads of some files."""
    options: dict[str, Any] = {"jitter": lambda: 0.0, "signals": Signals(), "notify": lambda _: None} | more
    return upload_all(
        files, lambda file, progress: uploader.upload(APPLICATION, plan, file, progress), plan=plan, **options
    )


# --- Responses that come before the body has been sent whole.


def closes(incoming: Incoming) -> None:
    """Close with the rest of the body unread, so that the client's system resets the connection."""


def resets(incoming: Incoming) -> None:
    """Close a moment later, as a load balancer does."""
    time.sleep(0.1)
    incoming.reset()


def waits(incoming: Incoming) -> None:
    """Keep the connection open, and read no more."""
    incoming.over.wait(60)


DENIED = http(b"<html>", b"403 Forbidden"), Reason.DENIED, ""
EARLY: dict[str, tuple[bytes, Reason | Refused, str]] = {
    # The response, the reason, and the text about a file that ThreadFix may have.
    "403": DENIED,
    "413": (http(b"<html>" * 100, b"413 Content Too Large"), Reason.PROTOCOL, ""),
    "503": (http(b"<html>", b"503 Service Unavailable"), Reason.UNREACHABLE, "HTTP 503"),
    "key": (http(refused("API Key not found in database.")), Reason.DENIED, ""),
    "refused": (http(refused("Full.")), Refused("Full."), ""),
    "after-interim-responses": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http(b"", b"413 X"),
        Reason.PROTOCOL, "",
    ),
    "http-1.0": (b"HTTP/1.0 413 X\r\n\r\n", Reason.PROTOCOL, ""),
    # A server without the whole file cannot send these. With `--accept`, such a refusal would be a pass.
    "success": (http(linked()), Reason.PROTOCOL, "reported success before it had the whole file"),
    **{
        f"acceptable-{refusal.accept}-{code.decode()[:3]}": (
            http(refused(refusal.text), code), Reason.PROTOCOL, "before it had all of it"
        )
        for refusal in REFUSALS if refusal.accept for code in (b"200 OK", b"500 X")
    },
    "endless-interim-response": (
        b"HTTP/1.1 103 Hints\r\n" + (b"X: " + b"y" * 60_000 + b"\r\n") * 100, Reason.UNREACHABLE, NOT_KNOWN
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "afterwards", "serving"),
    [
        *((row, closes, "http") for row in EARLY.values()),
        *((DENIED, script, scheme) for script in (resets, waits, Incoming.drain) for scheme in ("http", "https")),
        (EARLY["success"], closes, "https"),
    ],
    indirect=["serving"],
)  # fmt: skip
def test_a_response_before_the_end_of_the_body_is_read(
    row: tuple[bytes, Reason | Refused, str], afterwards: Script, serving: Serving, tmp_path: Path
) -> None:
    """The response counts, and is never reported as a broken pipe, regardless of the server's next action."""
    response, outcome, text = row

    def script(incoming: Incoming) -> None:
        incoming.read(SOME).connection.sendall(response)
        afterwards(incoming)

    (uploader, server), digests = serving(script), list[str]()
    file = new_file(tmp_path, LARGE)
    receipt = uploader.upload(APPLICATION, PLAN, file, lambda _, found: digests.extend(found))
    if isinstance(outcome, Refused):
        assert receipt == outcome
    else:
        assert isinstance(receipt, Failure)
        assert (receipt.reason, receipt.final, receipt.unsent) == (outcome, True, False), receipt
        assert text in receipt.what
        assert (advise(receipt.kind, receipt.doing).meaning == UPLOAD_UNCERTAIN) is bool(text)
        assert (NOT_KNOWN in receipt.what) is bool(text)
    assert (server.uploads, server.whole, digests) == (1, [], [])


@http_and_https
def test_interim_responses_do_not_end_an_upload(serving: Serving, tmp_path: Path) -> None:
    interim = b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"

    def script(incoming: Incoming) -> None:
        incoming.read(SOME)
        for piece in (interim, interim[:5], interim[5:], interim * 500, interim[:20], interim[20:] + interim[:20]):
            incoming.connection.sendall(piece)
            incoming.body += incoming.connection.recv(SOME)
        while not incoming.is_whole:
            incoming.body += incoming.connection.recv(1024 * 1024)
        incoming.connection.sendall(interim[20:] + TAKEN)

    uploader, server = serving(script)
    assert uploader.upload(APPLICATION, PLAN, new_file(tmp_path, LARGE // 8), lambda *_: None) == QUEUED
    assert len(server.whole) == 1


# --- Faults after which something may have been sent.


def pieces(*parts: bytes, pause: float = 0.0, then: Script = closes, most: int | None = None) -> Script:
    """Read the request, with at most `most` bytes of its body, send parts of a response, and call `then`."""

    def script(incoming: Incoming) -> None:
        incoming.read(most)
        for part in parts:
            incoming.connection.sendall(part)
            time.sleep(pause)
        then(incoming)

    return script


def resets_early(incoming: Incoming) -> None:
    """Reset the connection, but not while the client is still connecting."""
    if not isinstance(incoming.connection, ssl.SSLSocket):
        incoming.connection.recv(1, socket.MSG_PEEK)
    incoming.reset()


NOT_TAKEN, NO_RESPONSE = "did not take the whole file within 0.4s.", "did not respond within 0.4s."
FAULTS: dict[str, tuple[int, Script, Plan, str]] = {
    # The size of the file, the server, the plan, and a text of the failure.
    "closed-at-once": (LARGE, closes, PLAN, ""),
    "reset-at-once": (LARGE, resets_early, PLAN, ""),
    "closed-after-the-head": (LARGE, pieces(most=0), PLAN, ""),
    "reset-in-the-body": (LARGE, pieces(most=SOME, then=Incoming.reset), PLAN, ""),
    "closed-instead-of-a-response": (SMALL, pieces(), PLAN, ""),
    "reset-instead-of-a-response": (SMALL, pieces(then=Incoming.reset), PLAN, ""),
    "reset-in-the-headers": (SMALL, pieces(TAKEN[:30], pause=0.1, then=Incoming.reset), PLAN, ""),
    "reset-in-the-response": (SMALL, pieces(TAKEN[:-9], pause=0.1, then=Incoming.reset), PLAN, ""),
    "503-with-retry-after": (SMALL, pieces(http(b"", b"503 X", b"Retry-After: 1")), PLAN, "HTTP 503"),
    "read-no-more": (LARGE, pieces(most=SOME, then=waits), HASTY, NOT_TAKEN),
    "never-read": (LARGE, waits, HASTY, NOT_TAKEN),
    "no-response": (SMALL, pieces(then=waits), HASTY, NO_RESPONSE),
    "stuck-in-the-status-line": (SMALL, pieces(b"HTTP/1.1 2", then=waits), HASTY, NO_RESPONSE),
    "stuck-in-the-response": (SMALL, pieces(TAKEN[:-9], then=waits), BRISK, "did not respond in time"),
    "stuck-in-a-502": (SMALL, pieces(http(b"<html>", b"502 X")[:-3], then=waits), BRISK, "HTTP 502"),
    "trickling-headers": (SMALL, pieces(b"HTTP/1.1 200 OK\r\nX: ", *[b"y"] * 20, pause=0.05), HASTY, NO_RESPONSE),
    "interim-responses-only": (
        SMALL,
        pieces(*[b"HTTP/1.1 102 Processing\r\n\r\n"] * 20, pause=0.05),
        HASTY,
        NO_RESPONSE,
    ),
}
"""Faults after which ThreadFix may have the file."""


@pytest.mark.parametrize(
    ("name", "serving"),
    [*((name, "http") for name in FAULTS), *((name, "https") for name in list(FAULTS)[:10:3])],
    indirect=["serving"],
)
def test_a_file_that_may_have_been_sent_is_never_sent_again(name: str, serving: Serving, tmp_path: Path) -> None:
    """After the connection is complete, no fault leads to a second upload; a second connection would take the file."""
    size, script, plan, text = FAULTS[name]
    uploader, server = serving(script, takes)
    (upload,) = all_of(uploader, new_file(tmp_path, size), plan=plan)
    receipt = upload.receipt
    assert server.uploads <= 1
    assert len(server.whole) <= 1
    if receipt == QUEUED:
        # On a busy machine the server may be faster than the client's connect.
        assert not server.requests[0].head
        return
    assert isinstance(receipt, Failure)
    advice = advise(receipt.kind, receipt.doing)
    assert (receipt.final, receipt.unsent, advice.meaning) == (True, False, UPLOAD_UNCERTAIN)
    assert str(advice.hint).startswith(UPLOAD_AGAIN)
    assert NOT_KNOWN in receipt.what
    assert text in receipt.what
    assert receipt.reason is Reason.UNREACHABLE
    assert receipt.timed_out is ("--upload-timeout" in str(advice.hint)) is ("0.4s" in text)
    assert not any(request.head for request in server.requests[1:])


# --- Faults before anything was sent.


def unsent(receipt: Receipt) -> Failure:
    """Return the failure of an upload; nothing was sent."""
    assert isinstance(receipt, Failure)
    assert (receipt.reason, receipt.unsent) == (Reason.UNREACHABLE, True)
    assert "not known" not in receipt.what
    assert "Nothing of the file was sent" in str(advise(receipt.kind, receipt.doing).meaning)
    return receipt


def closed_port() -> int:
    """Return a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_refused_connection_is_tried_again(tmp_path: Path) -> None:
    port = closed_port()
    server = Counting((takes,))
    with ExitStack() as stack:

        def notify(event: UploadEvent) -> None:
            if isinstance(event, OutageBegan):
                assert event.limit == PLAN.first_contact_limit
                stack.enter_context(talking(server.talk, port=port))

        (upload,) = all_of(client(f"http://127.0.0.1:{port}"), new_file(tmp_path), notify=notify)
    assert upload.receipt == QUEUED
    assert (server.uploads, len(server.whole)) == (1, 1)


@pytest.mark.parametrize("response", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", None])
def test_a_broken_handshake_is_tried_again(response: bytes | None, server_tls: Tls, tmp_path: Path) -> None:
    """Before the handshake is complete, not even the file's name has left this machine."""
    context, trusted = server_tls
    server, handshakes = Counting((takes,)), 0

    def talk(connection: socket.socket) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes > 2:
            with context.wrap_socket(connection, server_side=True) as secure:
                server.talk(secure)
        elif response is not None:
            connection.recv(100)
            connection.sendall(response)

    with talking(talk) as url:
        (upload,) = all_of(client(url.replace("http:", "https:"), trusted), new_file(tmp_path))
    assert upload.receipt == QUEUED
    assert (handshakes, server.uploads) == (3, 1)


def hangs(over: threading.Event) -> None:
    over.wait(60)


def test_a_handshake_ends_at_the_request_timeout(server_tls: Tls, tmp_path: Path) -> None:
    over = threading.Event()
    with talking(lambda _: hangs(over)) as url:
        uploader = client(url.replace("http:", "https:"), server_tls[1])
        failure = unsent(uploader.upload(APPLICATION, BRISK, new_file(tmp_path), lambda *_: None))
        over.set()
    assert (failure.timed_out, failure.final) == (True, False)
    assert "did not respond within 0.2s" in failure.what


@pytest.mark.parametrize("late", [False, True], ids=["fails", "ends-too-late"])
def test_a_failed_dns_lookup_is_tried_again(*, late: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An attempt whose lookup ends too late must stop: it counts as unsent, and the next attempt sends the file."""
    lookup, over, ended, lookups = socket.getaddrinfo, threading.Event(), threading.Event(), 0

    def fails_once(_: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands for another function
        nonlocal lookups
        lookups += 1
        if lookups == 1:
            if not late:
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
            over.wait(60)
            ended.set()
        return lookup("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fails_once)
    server = Counting((takes,))
    with talking(server.talk) as url:
        uploader = client(url.replace("127.0.0.1", "localhost"))
        (upload,) = all_of(uploader, new_file(tmp_path), plan=BRISK if late else PLAN)
        if late:
            over.set()
            ended.wait(5)
            time.sleep(0.1)
    assert upload.receipt == QUEUED
    assert lookups >= 2
    assert (server.uploads, len(server.whole)) == (1, 1)


def test_a_tunnel_that_is_refused_is_tried_again(
    server_tls: Tls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy that cannot reach ThreadFix has received nothing of the file."""
    server, tunnels = Counting((takes,)), 0

    def proxy(connection: socket.socket) -> None:
        nonlocal tunnels
        tunnels += 1
        assert Incoming(connection, server.over).read().head.startswith(b"CONNECT tf.invalid:443 ")
        if tunnels == 1:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with server_tls[0].wrap_socket(connection, server_side=True) as secure:
            server.talk(secure)

    with talking(proxy) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.removesuffix("/threadfix"))
        (upload,) = all_of(client("https://tf.invalid", insecure=True), new_file(tmp_path))
    assert upload.receipt == QUEUED
    assert (tunnels, server.uploads) == (2, 1)


def relay(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes until the connection ends."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("limits", [(30,), (0.4, 2, 8)], ids=["response", "no-response"])
def test_tls_within_the_tls_of_a_proxy_works(
    limits: tuple[float, ...], server_tls: Tls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such a connection can only block; an upload still works, and still ends at its time limit."""
    context, _ = server_tls
    server = Counting((takes if limits == (30,) else pieces(then=waits),))
    with talking(server.talk, context) as inner:

        def proxy(connection: socket.socket) -> None:
            Incoming(connection, server.over).read()
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            port = int(inner.rpartition(":")[2].partition("/")[0])
            with socket.create_connection(("127.0.0.1", port)) as onward:
                threading.Thread(target=relay, args=(onward, connection), daemon=True).start()
                relay(connection, onward)

        with talking(proxy, context) as url:
            monkeypatch.setenv("HTTPS_PROXY", url.removesuffix("/threadfix"))
            uploader, file = client("https://tf.invalid", insecure=True), new_file(tmp_path, 2_000_000)
            for limit in limits:
                receipt = uploader.upload(APPLICATION, replace(PLAN, upload_timeout=limit), file, lambda *_: None)
                # On a busy machine, two handshakes take long.
                if not isinstance(receipt, Failure) or not receipt.unsent:
                    break
            server.over.set()
    if isinstance(receipt, Failure):
        assert (receipt.timed_out, receipt.unsent) == (True, False)
    assert isinstance(receipt, Failure) or receipt == QUEUED
    assert (receipt == QUEUED) is (limits == (30,))


# --- Being stopped.


@http_and_https
def test_a_signal_ends_uploads_immediately(serving: Serving, tmp_path: Path) -> None:
    files = [new_file(tmp_path, size, name) for name, size in (("a", SMALL), ("b", LARGE), ("c", SMALL))]
    uploader, server = serving(takes, pieces(most=SOME, then=waits), takes)
    signals = Signals()

    def notify(event: UploadEvent) -> None:
        if isinstance(event, UploadProgress) and event.file is files[1]:
            signals.stop(signal.SIGTERM)

    uploads = all_of(uploader, *files, notify=notify, signals=signals)
    assert [upload.receipt for upload in uploads] == [QUEUED, Unfinished.BROKEN_OFF, Unfinished.NOT_SENT]
    uploader.http.close()
    time.sleep(0.2)
    assert (server.connections, len(server.whole)) == (2, 1)


# --- The transport.


def test_a_transport_that_is_closed_sends_nothing(serving: Serving, tmp_path: Path) -> None:
    uploader, server = serving(takes)
    uploader.http.close()
    receipt = unsent(uploader.upload(APPLICATION, PLAN, new_file(tmp_path), lambda *_: None))
    assert "broke" in receipt.what
    assert isinstance(uploader.http.request("http://127.0.0.1/", 1.0), Failure)
    assert server.connections == 0


def test_aborting_does_not_end_the_encryption_first(server_tls: Tls) -> None:
    """Otherwise the other thread could send bytes in clear at the same moment."""
    context, trusted = server_tls
    over = threading.Event()
    with talking(lambda _: hangs(over), context) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        secure = ssl.create_default_context(cafile=trusted)
        with secure.wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1"
        ) as connection:
            exchange = Exchange()
            exchange.track_connected(connection)
            exchange.abort()
            assert connection.version() is not None
            with pytest.raises(OSError):  # noqa: PT011 - which error differs between systems
                connection.sendall(bytes(10_000_000))
        over.set()
