"""Failed uploads over http and https: the reported state of the file, and that no file is ever sent twice."""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gate.flow.signals import Signals
from gate.flow.uploading import upload_all
from gate.model.advice import UPLOAD_AGAIN, UPLOAD_UNCERTAIN, advise
from gate.model.events import OutageBegan, OutageEnded, UploadProgress
from gate.model.history import Failure, Queued, Receipt, Refused, Unfinished
from gate.model.reasons import Reason
from gate.model.subjects import ScanFile, Target
from gate.net.connections import Exchange
from gate.threadfix.refusals import REFUSALS
from tests.raw import talking
from tests.uploads import (
    APPLICATION,
    KEY,
    LARGE,
    PLAN,
    TAKEN,
    Counting,
    Incoming,
    client,
    envelope,
    http,
    new_file,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gate.model.events import UploadEvent
    from gate.model.history import Upload
    from gate.model.subjects import Plan
    from gate.threadfix.client import Client

    Script = Callable[[Incoming], object]
    Tls = tuple[ssl.SSLContext, Path]

SOME = 100_000
"""Bytes of a body after which a server responds early."""
NOT_KNOWN = "Whether ThreadFix has the file is not known."
QUEUED = Queued((Target(APPLICATION, 41),))
HASTY = replace(PLAN, upload_timeout=0.6)
"""For a server that does not respond."""
BRISK = replace(PLAN, request_timeout=1.0)
"""For a server that pauses within its response."""


class Serving:
    """Serves scripts over http or https while a test runs."""

    def __init__(self, tls: Tls | None, stack: ExitStack) -> None:
        self.trusted = tls[1] if tls else None
        self._context = tls[0] if tls else None
        self._stack = stack

    def __call__(self, *scripts: Script) -> tuple[Client, Counting]:
        """Return a client, and the server with its counts."""
        server = Counting(scripts)
        url = self._stack.enter_context(talking(server.talk, self._context))
        self._stack.callback(server.over.set)
        return client(url, self.trusted), server


@pytest.fixture(params=["http", "https"])
def serving(request: pytest.FixtureRequest, server_tls: Tls) -> Iterator[Serving]:
    """Serve scripts of connections until the test is over."""
    with ExitStack() as stack:
        yield Serving(server_tls if request.param == "https" else None, stack)


def takes(incoming: Incoming) -> None:
    """Read an upload, and queue it."""
    incoming.read().connection.sendall(TAKEN)


def attempt(serving: Serving, file: ScanFile, *scripts: Script, plan: Plan = PLAN) -> tuple[Receipt, Counting]:
    """Return the receipt of a single attempt."""
    uploader, server = serving(*scripts)
    return uploader.upload(APPLICATION, plan, file, lambda _: None), server


def all_of(
    uploader: Client,
    *files: ScanFile,
    plan: Plan = PLAN,
    notify: Callable[[UploadEvent], None] = lambda _: None,
    signals: Signals | None = None,
) -> tuple[Upload, ...]:
    """Return the uploads of some files."""
    return upload_all(
        files,
        lambda file, progress: uploader.upload(APPLICATION, plan, file, progress),
        plan=plan,
        jitter=lambda: 0.0,
        signals=signals or Signals(),
        notify=notify,
    )


# --- Responses that come before the body has been sent whole.


def then_closes(incoming: Incoming) -> None:
    """Close with the rest of the body unread, so that the client's system resets the connection."""


def then_resets(incoming: Incoming) -> None:
    """Close a moment later, as a load balancer does."""
    time.sleep(0.1)
    incoming.reset()


def then_reads_no_more(incoming: Incoming) -> None:
    """Keep the connection open."""
    incoming.over.wait(60)


def then_reads_on(incoming: Incoming) -> None:
    """Read the rest of the body before closing."""
    incoming.drain()


AFTERWARDS = (then_closes, then_resets, then_reads_no_more, then_reads_on)
EARLY: dict[str, tuple[bytes, Reason | Refused]] = {
    "401": (http(b"<html>", b"401 Unauthorized"), Reason.DENIED),
    "403": (http(b"<html>", b"403 Forbidden"), Reason.DENIED),
    "404": (http(b"<html>", b"404 Not Found"), Reason.NOT_FOUND),
    "413": (http(b"<html>" * 100, b"413 Content Too Large"), Reason.PROTOCOL),
    "302": (http(b"", b"302 Found", b"Location: /login"), Reason.PROTOCOL),
    "503": (http(b"<html>", b"503 Service Unavailable"), Reason.UNREACHABLE),
    "key": (http(refused("API Key not found in database.")), Reason.DENIED),
    "refused": (http(refused("Full.")), Refused("Full.")),
    "behind-interim-ones": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http(b"", b"413 X"),
        Reason.PROTOCOL,
    ),
    "http-1.0": (b"HTTP/1.0 413 X\r\n\r\n", Reason.PROTOCOL),
}


@pytest.mark.parametrize("afterwards", AFTERWARDS, ids=[script.__name__ for script in AFTERWARDS])
@pytest.mark.parametrize(("response", "outcome"), EARLY.values(), ids=EARLY)
def test_a_response_before_the_end_of_the_body_is_read(
    response: bytes, outcome: Reason | Refused, afterwards: Script, serving: Serving, tmp_path: Path
) -> None:
    """The response counts, and is never reported as a broken pipe, regardless of the server's next action."""

    def script(incoming: Incoming) -> None:
        incoming.read(SOME).connection.sendall(response)
        afterwards(incoming)

    # A body without a length may end with the connection, which must not take long.
    plan = PLAN if b"Content-Length" in response else BRISK
    receipt, server = attempt(serving, new_file(tmp_path, LARGE), script, plan=plan)
    if isinstance(outcome, Refused):
        assert receipt == outcome
    else:
        assert isinstance(receipt, Failure)
        assert (receipt.reason, receipt.final, receipt.unsent) == (outcome, True, False), receipt
        assert receipt.http_status
        assert ("not known" in receipt.what) is (outcome is Reason.UNREACHABLE)
    assert (server.uploads, server.whole) == (1, [])


def sends(response: bytes) -> Script:
    """Send a response before the end of the body, and read on."""

    def script(incoming: Incoming) -> None:
        incoming.read(SOME).connection.sendall(response)
        incoming.drain()

    return script


def never_ends(incoming: Incoming) -> None:
    """Send an interim response without an end."""
    incoming.read(SOME).connection.sendall(b"HTTP/1.1 103 Hints\r\n")
    with suppress(OSError):
        while True:
            incoming.connection.sendall(b"X: " + b"y" * 60_000 + b"\r\n")


HASTY_RESPONSES: dict[str, tuple[Script, Reason, str]] = {
    "success": (sends(TAKEN), Reason.PROTOCOL, "reported success before it had the whole file"),
    **{
        f"acceptable-{refusal.accept}-{code.decode()[:3]}": (
            sends(http(refused(refusal.text), code)), Reason.PROTOCOL, "before it had all of it"
        )
        for refusal in REFUSALS if refusal.accept for code in (b"200 OK", b"500 X")
    },
    "endless-interim-response": (never_ends, Reason.UNREACHABLE, ""),
}  # fmt: skip
"""Responses that a server without the whole file cannot send, or that never end."""


@pytest.mark.parametrize(("script", "reason", "text"), HASTY_RESPONSES.values(), ids=HASTY_RESPONSES)
def test_a_response_without_the_whole_file_is_uncertain(
    script: Script, reason: Reason, text: str, serving: Serving, tmp_path: Path
) -> None:
    """With `--accept`, such a refusal would be a pass."""
    receipt, _ = attempt(serving, new_file(tmp_path, LARGE), script)
    assert isinstance(receipt, Failure)
    meaning = advise(receipt.kind, receipt.doing).meaning
    assert (receipt.reason, receipt.final, meaning) == (reason, True, UPLOAD_UNCERTAIN)
    assert text in receipt.what


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"])
def test_interim_responses_do_not_end_an_upload(interim: bytes, serving: Serving, tmp_path: Path) -> None:

    def script(incoming: Incoming) -> None:
        incoming.read(SOME)
        for piece in (interim, interim[:5], interim[5:], interim * 500, interim[:20], interim[20:] + interim[:20]):
            incoming.connection.sendall(piece)
            incoming.body += incoming.connection.recv(SOME)
        while not incoming.is_whole:
            incoming.body += incoming.connection.recv(1024 * 1024)
        incoming.connection.sendall(interim[20:] + TAKEN)

    receipt, server = attempt(serving, new_file(tmp_path, LARGE), script)
    assert receipt == QUEUED
    assert len(server.whole) == 1


# --- Faults after which something may have been sent.


def pieces(*parts: bytes, pause: float = 0.0) -> Script:
    """Read the whole request, and send parts of a response."""

    def script(incoming: Incoming) -> None:
        incoming.read()
        for part in parts:
            incoming.connection.sendall(part)
            time.sleep(pause)

    return script


def and_waits(script: Script) -> Script:
    """Send parts of a response, and keep the connection."""

    def waits(incoming: Incoming) -> None:
        script(incoming)
        incoming.over.wait(60)

    return waits


def and_resets(script: Script) -> Script:
    """Send parts of a response, and reset the connection."""

    def resets(incoming: Incoming) -> None:
        script(incoming)
        incoming.reset()

    return resets


def nothing(incoming: Incoming) -> None:
    """Neither read nor send."""


def once_connected(incoming: Incoming) -> None:
    """Wait, so that a reset does not come while the client is still connecting."""
    if not isinstance(incoming.connection, ssl.SSLSocket):
        incoming.connection.recv(1, socket.MSG_PEEK)


FAULTS: dict[str, tuple[Script, Plan]] = {
    "closed-at-once": (nothing, PLAN),
    "reset-at-once": (and_resets(once_connected), PLAN),
    "closed-after-the-head": (lambda incoming: incoming.read(0), PLAN),
    "reset-after-the-head": (and_resets(lambda incoming: incoming.read(0)), PLAN),
    "closed-in-the-body": (lambda incoming: incoming.read(SOME), PLAN),
    "reset-in-the-body": (and_resets(lambda incoming: incoming.read(SOME)), PLAN),
    "closed-instead-of-a-response": (pieces(), PLAN),
    "reset-instead-of-a-response": (and_resets(pieces()), PLAN),
    "closed-in-the-status-line": (pieces(b"HTTP/1.1 2"), PLAN),
    "closed-in-the-headers": (pieces(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"), PLAN),
    "reset-in-the-headers": (and_resets(pieces(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", pause=0.1)), PLAN),
    "closed-in-the-response": (pieces(TAKEN[:-9]), PLAN),
    "reset-in-the-response": (and_resets(pieces(TAKEN[:-9], pause=0.1)), PLAN),
    "never-read": (and_waits(nothing), HASTY),
    "read-no-more": (and_waits(lambda incoming: incoming.read(SOME)), HASTY),
    "no-response": (and_waits(pieces()), HASTY),
    "stuck-in-the-status-line": (and_waits(pieces(b"HTTP/1.1 2")), HASTY),
    "stuck-in-the-headers": (and_waits(pieces(b"HTTP/1.1 200 OK\r\nX")), HASTY),
    "stuck-in-the-response": (and_waits(pieces(TAKEN[:-9])), BRISK),
    "trickling-headers": (pieces(b"HTTP/1.1 200 OK\r\nX: ", *[b"y"] * 40, pause=0.05), HASTY),
    "interim-responses-only": (pieces(*[b"HTTP/1.1 102 Processing\r\n\r\n"] * 40, pause=0.05), HASTY),
    "500": (pieces(http(b"", b"500 X")), PLAN),
    "503-with-retry-after": (pieces(http(b"", b"503 X", b"Retry-After: 1")), PLAN),
    "stuck-in-a-502": (
        and_waits(pieces(http(b"<html>", b"502 X")[:-3])), BRISK
    ),
    "408": (pieces(http(b"", b"408 X", b"Connection: close")), PLAN),
    "425": (pieces(http(b"", b"425 X")), PLAN),
    "429": (pieces(http(b"", b"429 X", b"Retry-After: 1")), PLAN),
    "garbage": (pieces(b"\x00" * 500), PLAN),
}  # fmt: skip
"""Faults after which ThreadFix may have the file, with the plan of each."""


@pytest.mark.parametrize(("script", "plan"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_may_have_been_sent_is_never_sent_again(
    script: Script, plan: Plan, serving: Serving, tmp_path: Path
) -> None:
    """After the connection is complete, no fault leads to a second upload; a second connection would take the file."""
    uploader, server = serving(script, takes)
    (upload,) = all_of(uploader, new_file(tmp_path, LARGE), plan=plan)
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
    assert receipt.reason in {Reason.UNREACHABLE, Reason.PROTOCOL}
    assert receipt.timed_out is ("--upload-timeout" in str(advice.hint))
    assert not any(request.head for request in server.requests[1:])


def test_a_file_that_is_not_read_in_time_has_its_own_message(serving: Serving, tmp_path: Path) -> None:
    plan = replace(PLAN, upload_timeout=2.0)
    # The second file is small: on a busy machine, a large one is not sent in time.
    for script, bytes_, says in (
        (FAULTS["never-read"][0], LARGE, "did not take the whole file"),
        (and_waits(pieces()), SOME, "not respond"),
    ):
        attempts = (attempt(serving, new_file(tmp_path, bytes_), script, plan=plan)[0] for _ in range(5))
        receipt = next(receipt for receipt in attempts if not (isinstance(receipt, Failure) and receipt.unsent))
        assert isinstance(receipt, Failure)
        assert receipt.timed_out
        assert f"{says}" in receipt.what
        assert "within 2s." in receipt.what


# --- Faults before anything was sent.


def unsent(receipt: Receipt) -> Failure:
    """Return the failure of an upload; nothing was sent."""
    assert isinstance(receipt, Failure)
    assert (receipt.reason, receipt.unsent) == (Reason.UNREACHABLE, True)
    assert "not known" not in receipt.what
    assert "Nothing of the file was sent" in str(advise(receipt.kind, receipt.doing).meaning)
    return receipt


def waits(over: threading.Event) -> None:
    """Do nothing until the test is over."""
    over.wait(60)


def closed_port() -> int:
    """Return a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_refused_connection_is_tried_again(tmp_path: Path) -> None:
    port = closed_port()
    events: list[UploadEvent] = []
    server = Counting((takes,))
    with ExitStack() as stack:

        def notify(event: UploadEvent) -> None:
            events.append(event)
            if isinstance(event, OutageBegan):
                stack.enter_context(talking(server.talk, port=port))

        (upload,) = all_of(client(f"http://127.0.0.1:{port}"), new_file(tmp_path), notify=notify)
    assert upload.receipt == QUEUED
    assert (server.uploads, len(server.whole)) == (1, 1)
    began = next(event for event in events if isinstance(event, OutageBegan))
    ended = next(event for event in events if isinstance(event, OutageEnded))
    assert began.limit == PLAN.first_contact_limit
    assert ended.outage.polls >= 1
    assert ended.outage.ended == ended.at


def test_a_connection_that_stays_refused_ends_at_the_limit(tmp_path: Path) -> None:
    plan = replace(PLAN, first_contact_limit=0.15)
    (upload,) = all_of(client(f"http://127.0.0.1:{closed_port()}"), new_file(tmp_path), plan=plan)
    failure = unsent(upload.receipt)
    assert "refused the connection. This went on for " in failure.what
    assert "attempts)" in failure.what
    assert upload.elapsed >= 0.15


def breaks_the_handshake(connection: socket.socket) -> None:
    """Read the start of the TLS handshake, and close."""
    connection.recv(100)


def no_tls(connection: socket.socket) -> None:
    """Respond with plain http to a TLS handshake."""
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("fault", [breaks_the_handshake, no_tls, lambda _: None])
def test_a_broken_handshake_is_tried_again(
    fault: Callable[[socket.socket], None], server_tls: Tls, tmp_path: Path
) -> None:
    """Before the handshake is complete, not even the file's name has left this machine."""
    context, trusted = server_tls
    server, handshakes = Counting((takes,)), 0

    def talk(connection: socket.socket) -> None:
        nonlocal handshakes
        handshakes += 1
        if handshakes <= 2:
            fault(connection)
            return
        with context.wrap_socket(connection, server_side=True) as secure:
            server.talk(secure)

    with talking(talk) as url:
        (upload,) = all_of(client(url.replace("http:", "https:"), trusted), new_file(tmp_path))
    assert upload.receipt == QUEUED
    assert (handshakes, server.uploads) == (3, 1)


def test_a_handshake_ends_at_the_request_timeout(server_tls: Tls, tmp_path: Path) -> None:
    over = threading.Event()
    plan = replace(PLAN, request_timeout=0.2)
    with talking(lambda _: waits(over)) as url:
        uploader = client(url.replace("http:", "https:"), server_tls[1])
        failure = unsent(uploader.upload(APPLICATION, plan, new_file(tmp_path), lambda _: None))
        over.set()
    assert (failure.timed_out, failure.final) == (True, False)
    assert "did not respond within 0.2s" in failure.what


def test_a_certificate_that_does_not_verify_is_final(server_tls: Tls, tmp_path: Path) -> None:
    server = Counting((takes,))
    with talking(server.talk, server_tls[0]) as url:
        (upload,) = all_of(client(url), new_file(tmp_path))
    assert unsent(upload.receipt).final
    assert "certificate" in unsent(upload.receipt).what
    assert server.uploads == 0


def test_a_failed_dns_lookup_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lookup, lookups = socket.getaddrinfo, 0

    def fails_once(_: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands for another function
        nonlocal lookups
        lookups += 1
        if lookups == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return lookup("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", fails_once)
    server = Counting((takes,))
    with talking(server.talk) as url:
        (upload,) = all_of(client(url.replace("127.0.0.1", "localhost")), new_file(tmp_path))
    assert upload.receipt == QUEUED
    assert (lookups, server.uploads) == (2, 1)


def test_a_lookup_that_ends_too_late_sends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The attempt counts as unsent, so the next attempt sends the file, and the late attempt must stop."""
    lookup, over, late = socket.getaddrinfo, threading.Event(), threading.Event()
    lookups = 0

    def hangs_once(_: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - stands for another function
        nonlocal lookups
        lookups += 1
        if lookups == 1:
            over.wait(60)
            late.set()
        return lookup("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hangs_once)
    server = Counting((takes,))
    with talking(server.talk) as url:
        uploader = client(url.replace("127.0.0.1", "localhost"))
        (upload,) = all_of(uploader, new_file(tmp_path), plan=replace(PLAN, request_timeout=0.2))
        over.set()
        late.wait(5)
        time.sleep(0.1)
    assert upload.receipt == QUEUED
    assert (server.uploads, len(server.whole)) == (1, 1)


def test_a_tunnel_that_is_refused_is_tried_again(
    server_tls: Tls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A proxy that cannot reach ThreadFix has received nothing of the file."""
    context, _ = server_tls
    server, tunnels = Counting((takes,)), 0

    def proxy(connection: socket.socket) -> None:
        nonlocal tunnels
        tunnels += 1
        assert Incoming(connection, server.over).read().head.startswith(b"CONNECT tf.invalid:443 ")
        if tunnels == 1:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secure:
            server.talk(secure)

    with talking(proxy) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.removesuffix("/threadfix"))
        uploader = client("https://tf.invalid", insecure=True)
        (upload,) = all_of(uploader, new_file(tmp_path))
    assert upload.receipt == QUEUED
    assert (tunnels, server.uploads) == (2, 1)


def relay(source: socket.socket, target: socket.socket) -> None:
    """Forward bytes until the connection ends."""
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("responds", [True, False])
def test_tls_within_the_tls_of_a_proxy_works(
    responds: bool,  # noqa: FBT001 - a case of the table
    server_tls: Tls,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Such a connection can only block; an upload still works, and still ends at its time limit."""
    context, _ = server_tls
    server = Counting((takes if responds else and_waits(pieces()),))
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
            uploader = client("https://tf.invalid", insecure=True)
            plan = PLAN if responds else replace(PLAN, upload_timeout=2.0)
            receipt = uploader.upload(APPLICATION, plan, new_file(tmp_path, 2_000_000), lambda _: None)
            server.over.set()
    if responds:
        assert receipt == QUEUED
    else:
        assert isinstance(receipt, Failure)
        assert (receipt.timed_out, receipt.unsent) == (True, False)


# --- Being stopped.


def test_a_signal_ends_uploads_immediately(serving: Serving, tmp_path: Path) -> None:
    files = [new_file(tmp_path, LARGE, name) for name in ("a", "b", "c")]
    uploader, server = serving(takes, and_waits(lambda incoming: incoming.read(SOME)), takes)
    signals = Signals()

    def notify(event: UploadEvent) -> None:
        if isinstance(event, UploadProgress) and event.file is files[1]:
            signals.stop(signal.SIGTERM)

    uploads = all_of(uploader, *files, notify=notify, signals=signals)
    assert [upload.receipt for upload in uploads] == [QUEUED, Unfinished.BROKEN_OFF, Unfinished.NOT_SENT]
    uploader.http.close()
    time.sleep(0.2)
    assert (server.connections, len(server.whole)) == (2, 1)


def test_a_signal_between_two_attempts_leaks_nothing(tmp_path: Path) -> None:
    port = closed_port()
    server, signals = Counting((takes,)), Signals()
    with ExitStack() as stack:

        def notify(event: UploadEvent) -> None:
            if isinstance(event, OutageBegan):
                stack.enter_context(talking(server.talk, port=port))
                signals.stop(signal.SIGINT)

        uploader = client(f"http://127.0.0.1:{port}")
        plan = replace(PLAN, interval=0.15, max_interval=0.15)
        (upload,) = all_of(uploader, new_file(tmp_path), plan=plan, notify=notify, signals=signals)
        time.sleep(0.2)
    assert upload.receipt == Unfinished.NOT_SENT
    assert server.connections == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_ends_the_process_in_the_middle_of_a_file(tmp_path: Path) -> None:
    file = new_file(tmp_path, LARGE)

    def script(incoming: Incoming) -> None:
        if incoming.read(SOME).head.startswith(b"GET "):
            incoming.connection.sendall(http(envelope({"id": APPLICATION, "name": "Contoso shop"})))
            return
        process.send_signal(signal.SIGTERM)
        incoming.over.wait(60)

    server = Counting((script,))
    with talking(server.talk) as url:
        command = [sys.executable, "-m", "gate", "run", "--url", url, "--application-id", str(APPLICATION)]
        process = subprocess.Popen(
            [*command, "--scan-file", file.path, "--result-file", str(tmp_path / "result.json")],
            env=dict(os.environ) | {"THREADFIX_API_KEY": KEY},
            stderr=subprocess.PIPE,
            text=True,
        )
        _, log = process.communicate(timeout=60)
        server.over.set()
    assert process.returncode == 143, log
    assert "Whether ThreadFix has the file is not known" in log
    assert '"reason": "cancelled"' in (tmp_path / "result.json").read_text()
    assert server.uploads == 2


# --- The transport.


def test_a_transport_that_is_closed_sends_nothing(serving: Serving, tmp_path: Path) -> None:
    uploader, server = serving(takes)
    uploader.http.close()
    receipt = unsent(uploader.upload(APPLICATION, PLAN, new_file(tmp_path), lambda _: None))
    assert "broke" in receipt.what
    assert isinstance(uploader.http.request("http://127.0.0.1/", 1.0), Failure)
    assert server.connections == 0


def test_aborting_does_not_end_the_encryption_first(server_tls: Tls) -> None:
    """Otherwise the other thread could send bytes in clear at the same moment."""
    context, trusted = server_tls
    over = threading.Event()
    with talking(lambda _: waits(over), context) as url:
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


def test_an_exchange_that_was_aborted_early_never_connects() -> None:
    """The caller may then send again, so the connecting thread must stop."""
    exchange = Exchange()
    exchange.abort()
    near, far = socket.socketpair()
    with near, far, pytest.raises(ConnectionAbortedError) as caught:
        exchange.track_connected(near)
    assert caught.value.errno == errno.ECONNABORTED
    with pytest.raises(ConnectionAbortedError):
        exchange.run(lambda _: pytest.fail("it was begun"), 1.0)
