"""The HTTP server of the embedded ThreadFix. It implements the part of ThreadFix that a gate needs.

It responds as a running Community Edition did, or as the vendor's pages describe, if those differ or are newer. The
grades in brackets are those of `responses`.
"""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from gate.sandbox import forms
from gate.sandbox.endpoints import ThreadFix
from gate.sandbox.model import API_KEY, APPLICATION_ID, READ_ONLY_KEY
from gate.sandbox.responses import CONTEXT, JSON, Raw, Reset, cookie, envelope, refusal, session_id
from gate.sandbox.scans import status_object
from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.state import FIRST_PENDING_SCAN, Scan

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from gate.sandbox.responses import Fault, Trickle

__all__ = [
    "API_KEY", "APPLICATION_ID", "CONTEXT", "FIRST_PENDING_SCAN", "JSON", "READ_ONLY_KEY", "Scan", "ThreadFix",
    "envelope", "environment", "refusal", "serving", "status_object",
]  # fmt: skip

CHUNK: Final = 256 * 1024
"""Bytes to read at a time."""
LARGEST_FORM: Final = 1024 * 1024
"""Maximum bytes of a body that is not an upload. Such a body is kept in memory."""
LINGER: Final = 2.0
"""Maximum seconds for discarding the rest of a request after an early response."""


class _LostConnectionError(ConnectionError):
    """The client closed the connection before the request was complete, or the length of its body is unknown."""


class _TooLargeError(Exception):
    """The body is longer than its limit."""


class _Body:
    """The body of a request, chunked or with a `Content-Length`."""

    def __init__(self, handler: _Handler, limit: int | None) -> None:
        self._file = handler.rfile
        self._limit = limit
        self._total = 0
        self._chunked = handler.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self._left = 0 if self._chunked else int(handler.headers.get("Content-Length", "0"))

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; empty at the end.

        Raises:
            _LostConnectionError: the client closed the connection too early, or a chunk has no size.
            _TooLargeError: the body is longer than its limit.
        """
        if not self._left and self._chunked:
            self._left = self._next_chunk()
            self._chunked = self._left > 0
        if not self._left:
            return b""
        piece = self._file.read(min(size, self._left))
        if not piece:
            raise _LostConnectionError
        self._left -= len(piece)
        self._total += len(piece)
        if self._limit is not None and self._total > self._limit:
            raise _TooLargeError
        if self._chunked and not self._left:
            self._line()
        return piece

    def _next_chunk(self) -> int:
        size = self._line().partition(b";")[0].strip()
        if not re.fullmatch(b"[0-9A-Fa-f]{1,16}", size):
            raise _LostConnectionError
        if not int(size, 16):
            while self._line():
                pass  # Ignore trailers.
        return int(size, 16)

    def _line(self) -> bytes:
        line = self._file.readline(forms.HEAD)
        if not line.endswith(b"\n"):
            raise _LostConnectionError
        return line.rstrip(b"\r\n")


class _Handler(BaseHTTPRequestHandler):
    """Serves HTTP requests for a `ThreadFix`."""

    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm, a client with a persistent connection waits 40 ms for the body of a response.
    disable_nagle_algorithm = True
    # Uploads arrive in large pieces.
    rbufsize = 128 * 1024
    server: _Server
    _unread = False
    """Whether the client may still be sending when it receives the response."""

    def setup(self) -> None:
        super().setup()
        with self.server.threadfix.lock:
            self.server.threadfix.connections += 1

    @property
    def _by_name(self) -> dict[str, str]:
        """The headers by name in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def do_GET(self) -> None:
        # The body of another request than a POST is not read [RUN].
        self.close_connection = self._unread = self.close_connection or bool(self.headers.get("Content-Length"))
        self._serve(lambda headers: self.server.threadfix.respond(self.command, self.path, headers, b""))

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - named by the server

    def do_POST(self) -> None:
        self._serve(self._post)

    def handle_expect_100(self) -> bool:
        """Request the body, unless an early response makes it unnecessary."""
        if self._early() is None:
            return super().handle_expect_100()
        self._serve(self._post)
        return False

    def _early(self) -> Fault | None:
        """Return the response to a request if it does not depend on the body."""
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        if not chunked and not re.fullmatch("[0-9]{1,18}", self.headers.get("Content-Length", "")):
            return Raw(411, b"a request with a body needs a length")
        return self.server.threadfix.refuse_early(self.path, self._by_name)

    def _post(self, headers: dict[str, str]) -> Fault:
        threadfix = self.server.threadfix
        boundary = forms.boundary(headers.get("content-type", ""))
        if boundary is not None:
            with threadfix.lock:
                threadfix.upload_attempts += 1
        early = self._early()
        if early is not None:
            self.close_connection = self._unread = True
            return early
        body = _Body(self, None if boundary is not None else LARGEST_FORM)
        try:
            with TemporaryFile() as file:
                while piece := body.read(CHUNK):
                    file.write(piece)
                file.flush()
                if boundary is None or not file.tell():
                    file.seek(0)
                    return threadfix.respond("POST", self.path, headers, file.read())
                with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                    try:
                        form = forms.multipart(content, boundary)
                    except forms.MalformedError:
                        form = None
                return threadfix.receive(self.path, headers, form)
        except _TooLargeError:
            self.close_connection = self._unread = True
            return Raw(413, b"<html><head><title>413 Request Entity Too Large</title></head></html>")

    def _serve(self, respond: Callable[[dict[str, str]], Fault]) -> None:
        threadfix = self.server.threadfix
        headers = self._by_name
        response: Fault | None = None
        try:
            response = respond(headers)
        finally:
            # A request is also logged if the client disconnects before its end.
            code = response.code if isinstance(response, Raw) else 0
            with threadfix.lock:
                threadfix.seen.append((self.command, self.path, code))
                threadfix.headers.append(headers)
            threadfix.log(self.command, self.path, code)
        match response:
            case Raw():
                self._send(response)
                if self._unread:
                    self._linger()
            case Reset():
                # Closing without lingering makes the kernel send a reset.
                now = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                self.connection.close()
                self.close_connection = True
            case _:
                self._trickle(response)

    def _linger(self) -> None:
        """Discard the rest of the request. Closing now would reset the connection and lose the response."""
        give_up = time.monotonic() + LINGER
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(0.05)
        while time.monotonic() < give_up and not self.server.stopping.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(CHUNK):
                    break

    def _send(self, response: Raw) -> None:
        self.send_response(response.code)
        headers = list(response.headers)
        if response.session:
            headers.append(cookie(session_id()))
        if response.content_type:
            headers.append(("Content-Type", response.content_type))
        body = response.body
        # A client of HTTP/1.0 gets no chunks: the end of the connection is the end of the body [RUN].
        if response.chunked and self.request_version == "HTTP/1.0":
            self.close_connection = True
        elif response.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif response.code != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(body))))
        # An error of the server ends the connection [RUN].
        if self.close_connection or response.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            headers.append(("Connection", "close"))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _trickle(self, response: Trickle) -> None:
        self.close_connection = True
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if response.headers_too else head + b"\r\n{")
        while not self.server.stopping.wait(0.05):
            self.wfile.write(b" ")

    def log_message(self, *_: object) -> None:
        """Log nothing: `ThreadFix.log` receives every request."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], threadfix: ThreadFix) -> None:
        self.threadfix = threadfix
        self.stopping = threading.Event()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the lookup of the machine's full name in `HTTPServer`, which may take seconds."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Log nothing: clients of a sandbox may disconnect at any time."""


@contextmanager
def serving(
    threadfix: ThreadFix, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve `threadfix` while the block runs, at any free port by default; yield its base URL with the context path.

    Raises:
        OSError: the address cannot be bound.
    """
    server = _Server((host, port), threadfix)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    # The URL of a server that is bound to every address has the loopback address.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaces the address in the URL
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{shown}:{server.server_address[1]}{CONTEXT}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()


def environment(url: str, name: str, scans: dict[int, Scan]) -> dict[str, str]:
    """Return the environment variables for a client of scenario `name` of the sandbox at `url`.

    They contain no pending scan if the scenario begins with an upload.

    Raises:
        KeyError: there is no such scenario.
        StopIteration: `scans` has no scan of the scenario.
    """
    scenario = SCENARIOS[name]
    variables = {
        "THREADFIX_URL": url + scenario.folder,
        "THREADFIX_API_KEY": scenario.key,
        "THREADFIX_APPLICATION_ID": str(scenario.application),
    }
    if not scenario.files:
        number = next(number for number, scan in scans.items() if scan.scenario is scenario)
        variables["THREADFIX_PENDING_SCAN_ID"] = str(number)
    return variables
