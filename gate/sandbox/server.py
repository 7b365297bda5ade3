"""The embedded ThreadFix: a real HTTP server that responds as ThreadFix 2.8 does, as far as a pending scan needs it.

Its responses to a wrong key, to an unknown path and to a request without `Accept: application/json` are those of the
source of ThreadFix Community Edition; the others have the fields of the vendor's page "Check Pending Scan Status".
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
"""The context path of the base URL."""
API_KEY: Final = "sandboxKeyThatOpensNothingElse00000000000000"
"""A key that may do everything."""
READ_ONLY_KEY: Final = API_KEY.replace("Opens", "Reads")
"""A key without the Upload Scans permission."""
APPLICATION_ID: Final = 6
FIRST_PENDING_SCAN: Final = 41
LARGEST_UPLOAD: Final = 64 * 1024 * 1024
"""Bytes of an upload that are accepted; they are kept in memory."""
JSON: Final = "application/json;charset=UTF-8"
_STATUS: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)/pendingScan/(\d+)/status")
_APPLICATION: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)")
_UPLOAD: Final = re.compile(r"/rest/(?:[\w.]+/)?applications/(\d+)/upload")
_FILE_NAME: Final = re.compile(rb'filename="([^"\r\n]{1,200})"')
# The server's own view of itself, as in the vendor's sample: behind a proxy nobody else can reach it.
OWN_VIEW: Final = "http://10.150.1.155:8080/threadfix/rest/latest"


@dataclass(slots=True)
class Scan:
    """A pending scan: its scenario, and where it is in it.

    Attributes:
        scenario: what happens to the scan.
        application_id: the application that it belongs to.
        began: when its status was first requested, by the server's clock; None before that.
        requests: how often its status has been requested.
    """

    scenario: Scenario
    application_id: int = APPLICATION_ID
    began: float | None = None
    requests: int = 0


@dataclass(slots=True)
class ThreadFix:
    """What the server keeps: applications, keys and pending scans.

    Attributes:
        speed: how many times faster the scenarios are played than they are written.
        keys: API keys that may do everything.
        readers: API keys that may read, but not upload.
        applications: ids of the applications that exist.
        scans: the pending scans by their ids.
        application_name: the name of every application.
        clock: returns seconds on a monotonic clock.
        log: called with each request's method, path and HTTP status; 0 for one without a response.
        seen: every request so far, as (method, path, HTTP status or 0).
        headers: the headers of every request, by name in small letters, in the order of `seen`.
        connections: how many TCP connections were opened.
        lock: held while the fields above are changed.
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
        """Queue a pending scan; returns its id."""
        with self.lock:
            number = max(self.scans, default=FIRST_PENDING_SCAN - 1) + 1
            self.scans[number] = Scan(scenario, application_id)
        return number

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw | Reset | Trickle:
        """The response to a request.

        Args:
            method: such as `GET`.
            path: with its query.
            headers: by name in small letters.
            body: empty where there is none.
        """
        if not path.startswith(f"{CONTEXT}/rest/"):
            if path == f"{CONTEXT}/login.jsp":
                return Raw(200, b"<!DOCTYPE html><html><head><title>ThreadFix Login</title></head></html>")
            return Raw(302, headers=(("Location", f"{CONTEXT}/login.jsp"),))
        endpoint = path.removeprefix(CONTEXT).partition("?")[0]
        endpoints = {"GET": (_STATUS, _APPLICATION), "POST": (_UPLOAD,)}.get(method, ())
        match = next((match for pattern in endpoints if (match := pattern.fullmatch(endpoint))), None)
        if not match or "application/json" not in headers.get("accept", ""):
            return refusal("Bad rest request due to unrecognized path.", 404)
        application, reads = int(match[1]), match.re is _APPLICATION
        refused = self._refused(headers, application, reads=reads)
        if refused:
            return refused
        if reads:
            return envelope({"id": application, "name": self.application_name})
        return self._status(application, int(match[2])) if match.re is _STATUS else self._upload(application, body)

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
    """The `object` of a status response; a pending scan in flight has no `scanId`, as in the vendor's older sample.

    Args:
        scenario: what happens to the scan.
        number: the pending scan's id.
        application: the application's id.
        elapsed: seconds since its status was first requested, at the scenario's own speed.
    """
    status, last = scenario.status(elapsed)
    words = scenario.message if scenario.message is not None else STATUSES.get(status, status)
    now = int(time.time() * 1000)
    fields: dict[str, Any] = {
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
        fields["scanId"] = number - 29
    return fields


def envelope(content: object, *, links: object = None) -> Raw:
    """A successful response around `content`. Its `message` repeats the scan's own, as ThreadFix does."""
    message = content.get("scanMessage", "") if isinstance(content, dict) else ""
    body: dict[str, object] = {"message": message, "success": True, "responseCode": -1, "object": content}
    if links is not None:
        body["links"] = links
    return Raw(200, json.dumps(body).encode(), JSON)


def refusal(message: str, code: int = 200) -> Raw:
    """A refusal: `success: false`, with HTTP 200 unless `code` says otherwise, as ThreadFix refuses."""
    body = {"message": message, "success": False, "responseCode": -1, "object": None}
    return Raw(code, json.dumps(body).encode(), JSON)


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
        response = threadfix.respond(self.command, self.path, headers, body)
        code = response.code if isinstance(response, Raw) else 0
        with threadfix.lock:
            threadfix.seen.append((self.command, self.path, code))
            threadfix.headers.append(headers)
        threadfix.log(self.command, self.path, code)
        match response:
            case Raw():
                self._send(response)
            case Reset():
                # Closing without lingering makes the kernel send a reset.
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
                )
                self.connection.close()
                self.close_connection = True
            case _:
                self._trickle(response)

    def _send(self, response: Raw) -> None:
        self.send_response(response.code)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def _trickle(self, response: Trickle) -> None:
        self.close_connection = True
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if response.headers_too else head + b"\r\n{")
        while not self.server.stopping.wait(0.05):
            self.wfile.write(b" ")

    def log_message(self, *_: object) -> None:
        """Log nothing: `ThreadFix.log` is called with every request."""


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
        """Log nothing: clients that hang up are what the sandbox is for."""


@contextmanager
def serving(
    threadfix: ThreadFix, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve `threadfix` while the block runs; gives its base URL, context path included.

    Args:
        threadfix: what to serve.
        host: address to bind to.
        port: 0 for any that is free.
        tls: makes it https; None for plain http.

    Raises:
        OSError: the address cannot be bound.
    """
    server = _Server((host, port), threadfix)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    # A server bound to every address is reached from here by the loopback one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only to be shown otherwise
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{shown}:{server.server_address[1]}{CONTEXT}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()


def environment(url: str, name: str, scans: dict[int, Scan]) -> dict[str, str]:
    """The environment variables with which a gate, or any other client, meets scenario `name` of the sandbox at `url`.

    Raises:
        KeyError: there is no such scenario.
        StopIteration: `scans` has none of it.
    """
    scenario = SCENARIOS[name]
    number = next(number for number, scan in scans.items() if scan.scenario is scenario)
    key = READ_ONLY_KEY if scenario.read_only_key else API_KEY
    return {
        "THREADFIX_URL": url.removesuffix(CONTEXT) if scenario.without_context else url,
        "THREADFIX_API_KEY": API_KEY.replace("Opens", "Misses") if scenario.wrong_key else key,
        "THREADFIX_APPLICATION_ID": str(APPLICATION_ID),
        "THREADFIX_PENDING_SCAN_ID": str(number),
    }
