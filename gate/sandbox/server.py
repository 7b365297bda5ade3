"""The embedded ThreadFix: a real HTTP server that answers as ThreadFix 2.8 does, as far as a pending scan needs it.

What it answers to a wrong key, to an unknown path and to a call without `Accept: application/json` is what the source
of ThreadFix Community Edition does; the replies have the fields of the vendor's page "Check Pending Scan Status".
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import struct
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from gate.sandbox.scenarios import SCENARIOS, Raw, Reset, Scenario, Trickle
from gate.threadfix.statuses import STATUSES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

CONTEXT: Final = "/threadfix"
API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
APPLICATION_ID: Final = 6
FIRST_PENDING_SCAN: Final = 41
LARGEST_UPLOAD: Final = 64 * 1024 * 1024
JSON: Final = "application/json;charset=UTF-8"
_STATUS: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)/pendingScan/(\d+)/status")
_APPLICATION: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)")
_UPLOAD: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)/upload")
_FILE_NAME: Final = re.compile(rb'filename="([^"\r\n]{1,200})"')
# The server's own view of itself, as in the vendor's sample: behind a proxy nobody else can reach it.
OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest/latest"


@dataclass(slots=True)
class Scan:
    """A pending scan: its scenario, and where it is in it."""

    scenario: Scenario
    application_id: int = APPLICATION_ID
    began: float | None = None
    requests: int = 0


@dataclass(slots=True)
class ThreadFix:
    """What the server keeps: applications, keys and pending scans.

    Attributes:
        speed: how many times faster than told the scenarios walk.
        keys: those that may do everything.
        readers: keys that may read, and no more.
        application_name: of every application.
        seen: every request, as (method, path, HTTP status or 0).
        headers: of every request.
        connections: how many were opened.
    """

    speed: float = 1.0
    keys: set[str] = field(default_factory=lambda: {API_KEY})
    readers: set[str] = field(default_factory=lambda: {READ_ONLY_KEY})
    applications: set[int] = field(default_factory=lambda: {APPLICATION_ID})
    scans: dict[int, Scan] = field(
        default_factory=lambda: {
            FIRST_PENDING_SCAN + index: Scan(scenario) for index, scenario in enumerate(SCENARIOS.values())
        }
    )
    application_name: str = "Contoso shop"
    clock: Callable[[], float] = time.monotonic
    log: Callable[[str, str, int], None] = lambda _method, _path, _code: None
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, scenario: Scenario, application_id: int = APPLICATION_ID) -> int:
        """Queue a pending scan; its id."""
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id)
        return number

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw | Reset | Trickle:
        """What the server answers to a request."""
        if not path.startswith(f"{CONTEXT}/rest/"):
            if path == f"{CONTEXT}/login.jsp":
                return Raw(200, b"<!DOCTYPE html><html><head><title>ThreadFix Login</title></head></html>")
            return Raw(302, headers=(("Location", f"{CONTEXT}/login.jsp"),))
        call = path.removeprefix(CONTEXT).partition("?")[0]
        calls = {"GET": (_STATUS, _APPLICATION), "POST": (_UPLOAD,)}.get(method, ())
        found = next((match for pattern in calls if (match := pattern.fullmatch(call))), None)
        if not found or "application/json" not in headers.get("accept", ""):
            return refusal("Bad rest request due to unrecognized path.", 404)
        application, reads = int(found[1]), found.re is _APPLICATION
        refused = self._refused(headers, application, reads=reads)
        if refused:
            return refused
        if reads:
            return envelope({"id": application, "name": self.application_name})
        return self._status(application, int(found[2])) if found.re is _STATUS else self._upload(application, body)

    def _refused(self, headers: dict[str, str], application: int, *, reads: bool) -> Raw | None:
        word, _, key = headers.get("authorization", "").partition(" ")
        if word != "APIKEY" or not key:
            return refusal("Authentication failed, check your API Key.")
        if key not in self.keys | self.readers:
            return refusal("API Key not found in database.")
        if key not in self.keys and not reads:
            return refusal("The requested URL is restricted for your API Key.")
        if application not in self.applications:
            return refusal("Application lookup failed. Check your ID.")
        return None

    def _status(self, application: int, number: int) -> Raw | Reset | Trickle:
        with self.lock:
            scan = self.scans.get(number)
            if scan is None or scan.application_id != application:
                return refusal("Pending scan lookup failed. Check your ID.")
            now = self.clock()
            scan.began = now if scan.began is None else scan.began
            scan.requests += 1
            fault = scan.scenario.fault(scan.requests)
        return fault or envelope(status_object(scan.scenario, number, application, (now - scan.began) * self.speed))

    def _upload(self, application: int, body: bytes) -> Raw:
        name = _FILE_NAME.search(body[:10_000])
        stem = PurePath(name[1].decode("utf-8", "replace")).stem if name else ""
        number = self.add(SCENARIOS.get(stem, SCENARIOS["done"]), application)
        href = f"{OWN_VIEW}/applications/{application}/pendingScan/{number}/status"
        return envelope("Scan upload process started.", links=[{"method": "GET", "rel": "related", "href": href}])


def status_object(scenario: Scenario, number: int, application: int, elapsed: float) -> dict[str, Any]:
    """The `object` of a status reply; a pending scan in flight has no `scanId`, as in the vendor's older sample."""
    status, last = scenario.status(elapsed)
    words = scenario.message if scenario.message is not None else STATUSES.get(status, status)
    now = int(time.time() * 1000)
    found: dict[str, Any] = {
        "id": number,
        "modifiedDate": now,
        "active": True,
        "fileDataList": [{"id": number + 15, "originalName": scenario.scan_name}],
        "appId": scenario.application_id or application,
        "errorMessage": scenario.error_message if last else None,
        "status": status,
        "error": last and scenario.error_message is not None,
        "type": "upload",
        "name": scenario.scan_name,
        "time": now,
        "scanMessage": words,
    }
    if scenario.scan_id and status == "DONE":
        found["scanId"] = number - 29
    return found


def envelope(content: object, *, links: object = None) -> Raw:
    """A good answer. `message` repeats the scan's own, as ThreadFix does."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    reply: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        reply["links"] = links
    return Raw(200, json.dumps(reply).encode(), JSON)


def refusal(message: str, code: int = 200) -> Raw:
    """A refusal: HTTP 200 with `success: false`, unless told otherwise."""
    reply = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, json.dumps(reply).encode(), JSON)


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a `ThreadFix`."""

    protocol_version = "HTTP/1.1"
    # Else a client that keeps its connection waits 40 ms for the body, which follows the headers.
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        with self.server.threadfix.lock:
            self.server.threadfix.connections += 1

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length) or int(length) > LARGEST_UPLOAD:
            self.close_connection = True
            self._send(Raw(413, b"too large, or without a length"))
            return
        self._serve(self.rfile.read(int(length)))

    def _serve(self, body: bytes) -> None:
        threadfix = self.server.threadfix
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = threadfix.answer(self.command, self.path, headers, body)
        code = answer.code if isinstance(answer, Raw) else 0
        with threadfix.lock:
            threadfix.seen.append((self.command, self.path, code))
            threadfix.headers.append(headers)
        threadfix.log(self.command, self.path, code)
        match answer:
            case Raw():
                self._send(answer)
            case Reset():
                # Closing without lingering makes the kernel send a reset.
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                )
                self.connection.close()
                self.close_connection = True
            case _:
                self._trickle(answer)

    def _send(self, answer: Raw) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def _trickle(self, answer: Trickle) -> None:
        self.close_connection = True
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if answer.headers_too else head + b"\r\n{")
        while not self.server.stopping.wait(0.05):
            self.wfile.write(b" ")

    def log_message(self, *_: object) -> None:
        """Say nothing: `ThreadFix.log` hears of every request."""


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
        """Bind without looking up this machine's full name, as `HTTPServer` would; that may take seconds."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that hangs up is what the sandbox is for."""


@contextmanager
def serving(
    threadfix: ThreadFix, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve `threadfix` while the block runs; its base URL.

    Args:
        threadfix: what to serve.
        host: address to bind to.
        port: 0 for any that is free.
        tls: makes it https.

    Raises:
        OSError: the address cannot be bound.
    """
    server = _Server((host, port), threadfix)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    # Bound to every address, it is reached from here by that of this machine itself.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only to be shown otherwise
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{shown}:{server.server_address[1]}{CONTEXT}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()


def environment(url: str, name: str, scans: dict[int, Scan]) -> dict[str, str]:
    """The variables that let a gate, or any client, play the scenario `name` against the sandbox at `url`."""
    scenario = SCENARIOS[name]
    number = next(number for number, scan in scans.items() if scan.scenario is scenario)
    key = READ_ONLY_KEY if scenario.read_only_key else API_KEY
    return {
        "THREADFIX_URL": url.removesuffix(CONTEXT) if scenario.without_context else url,
        "THREADFIX_API_KEY": API_KEY.replace("Opens", "Misses") if scenario.wrong_key else key,
        "THREADFIX_APPLICATION_ID": str(APPLICATION_ID),
        "THREADFIX_PENDING_SCAN_ID": str(number),
    }
