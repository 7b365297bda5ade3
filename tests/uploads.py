"""Helpers for tests of uploads: a client, files, and a server of raw sockets that counts uploads."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gate.model.subjects import Plan, ScanFile
from gate.net.peer import Certificates
from gate.text.sanitizer import Sanitizer, Secret
from gate.threadfix.client import Client
from gate.threadfix.links import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY: Final = "k" * 40
APPLICATION: Final = 6
PLAN: Final = Plan(request_timeout=20, upload_timeout=30, first_contact_limit=20, interval=0.02, max_interval=0.05)
"""Limits longer than any test, and short intervals."""
LARGE: Final = 48 * 1024 * 1024
"""Bytes of a file that is larger than any socket buffer."""
LINK: Final = "http://10.150.1.155:8080/threadfix/rest/latest/applications/6/pendingScan/41/status"


def http(body: bytes, code: bytes = b"200 OK", *headers: bytes) -> bytes:
    """Return a complete response."""
    head = b"\r\n".join((b"HTTP/1.1 " + code, b"Content-Length: %d" % len(body), *headers))
    return head + b"\r\n\r\n" + body


def envelope(content: object = "Scan upload process started.", **more: object) -> bytes:
    """Return the body of ThreadFix's response to an accepted file. `more` adds or replaces fields."""
    return json.dumps({"message": "", "success": True, "responseCode": -1, "object": content} | more).encode()


def linked(*hrefs: str) -> bytes:
    """Return the body of a response with links."""
    return envelope(links=[{"method": "GET", "rel": "related", "href": href} for href in hrefs or (LINK,)])


def refused(message: object) -> bytes:
    """Return the body of ThreadFix's response to a refused file."""
    return envelope(None, success=False, message=message)


def zap(day: int, *pages: str) -> bytes:
    """Return a report of ZAP from a day in November 2021, with a finding of severity Low on each page."""
    alerts = "".join(
        f"<alertitem><riskcode>1</riskcode><cweid>352</cweid><uri>{page}</uri></alertitem>" for page in pages
    )
    return f'<OWASPZAPReport generated="Mon, {day:02} Nov 2021 10:00:00">{alerts}</OWASPZAPReport>'.encode()


TAKEN: Final = http(linked())
FINISHED: Final = {
    "id": 12,
    "importTime": 1793613600000,
    **{f"number{kind}Vulnerabilities": 0 for kind in ("Closed", "Old", "Resurfaced", "Info", "Low", "Critical")},
    **{
        f"number{kind}Vulnerabilities": number
        for kind, number in (("New", 3), ("Total", 3), ("Medium", 1), ("High", 2))
    },
    "numberRepeatResults": 0,
    "numberRepeatFindings": 0,
    "findings": [{"id": 1, "attackString": "a", "surfaceLocation": {"id": 1, "parameter": "id", "path": "/b"}}],
    "scannerName": "OWASP Zed Attack Proxy",
}
"""A finished scan as ThreadFix 2.3 returned it in the response to an upload."""


def client(url: str, trusted: Path | None = None, *, insecure: bool = False, version: str = "latest") -> Client:
    """Return a client for the ThreadFix at `url`."""
    ca_file = (Certificates("--ca-file", str(trusted)),) if trusted else ()
    server = Server(url, Secret(KEY), api_version=version, ca_file=ca_file, insecure=insecure)
    return Client(server, Sanitizer(), trace=lambda _: None)


def new_file(folder: Path, size: int = 1000, name: str = "contoso.fpr") -> ScanFile:
    """Create a sparse file of `size` bytes."""
    path = folder / name
    with path.open("wb") as file:
        file.write(b"<scan>"[:size])
        file.truncate(size)
    return ScanFile(str(path), size, name)


@dataclass
class Incoming:
    """An incoming request, with the bytes that were read; `over` is set at the end of the test."""

    connection: socket.socket
    over: threading.Event
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)

    @property
    def length(self) -> int | None:
        """The `Content-Length`; None if it is missing."""
        matched = re.search(rb"(?i)content-length: (\d+)", self.head)
        return int(matched[1]) if matched else None

    @property
    def is_whole(self) -> bool:
        """Whether the complete body was read."""
        return len(self.body) == self.length

    def read(self, most: int | None = None) -> Incoming:
        """Read the request, with at most `most` bytes of its body."""
        content = bytearray()
        while b"\r\n\r\n" not in content and (piece := self.connection.recv(4096)):
            content += piece
            self.head = bytes(content)
        head, _, body = content.partition(b"\r\n\r\n")
        self.head, self.body = bytes(head), bytearray(body)
        wanted = self.length or 0
        wanted = wanted if most is None else min(most, wanted)
        while len(self.body) < wanted and (piece := self.connection.recv(1024 * 1024)):
            self.body += piece
        return self

    def drain(self) -> None:
        """Read until the client disconnects."""
        while self.connection.recv(1024 * 1024):
            pass

    def reset(self) -> None:
        """Reset the connection."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


@dataclass
class Counting:
    """A server that runs the n-th script for the n-th connection, and repeats the last script."""

    scripts: tuple[Callable[[Incoming], object], ...]
    over: threading.Event = field(default_factory=threading.Event)
    requests: list[Incoming] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def connections(self) -> int:
        """The number of connections."""
        return len(self.requests)

    @property
    def uploads(self) -> int:
        """The number of requests with at least one received byte."""
        return sum(bool(request.head) for request in self.requests)

    @property
    def whole(self) -> list[tuple[bytes, bytes]]:
        """The head and the body of each complete request."""
        return [(request.head, bytes(request.body)) for request in self.requests if request.is_whole]

    def talk(self, connection: socket.socket) -> None:
        """Serve a connection."""
        incoming = Incoming(connection, self.over)
        with self._lock:
            script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
            self.requests.append(incoming)
        # Otherwise the system may delay a small response, and drop it when the connection closes.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            script(incoming)
        finally:
            with suppress(OSError, ValueError):
                if not incoming.head:
                    # A byte that no script has read counts too.
                    connection.settimeout(0.2)
                    incoming.head = connection.recv(1)
