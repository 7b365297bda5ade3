"""A TCP proxy in front of the sandbox. It injects one kind of fault into connections of a gate."""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
from contextlib import suppress
from select import select
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from gate.sandbox.scenarios import SCENARIOS
from gate.sandbox.server import APPLICATION_ID, envelope, status_object

if TYPE_CHECKING:
    from collections.abc import Callable

CUTS: Final = ("reset", "end", "hold", "insert", "reset-up", "end-up", "hold-up")
"""Faults at a byte position of the response, or of the request (`-up`), with TLS too."""
SIMPLE: Final = ("none", "refuse", "trickle")
EARLY: Final = "early"
"""The fault of a response before the request, without TLS. It is honest about another scan: it can come too late."""
SPANS: Final = {(False, False): 700, (False, True): 300, (True, False): 3000, (True, True): 1500}
"""The byte positions of cuts by TLS and direction: all of a usual response or request, with the handshake."""
QUIET: Final = 2.0  # seconds that the gate's end may stay open after the gate has ended
_JUNK: Final = (b"\0", b"\r\n", b"\r\n\r\n", b"{", b'"', b"\xff\xfe", b"<!--", b"\n ", b"]" * 999, b"\x1b[2J")
_HEADERS: Final = (
    *(b"Content-Length: 5", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"),
    *(b"Age: 90", b"Retry-After: 1", b"Location: https://evil.example/", b"X: " + b"y" * 70_000, b"no colon", b" fold"),
    *(b"Date: Mon, 01 Jan 2001 00:00:00 GMT", b"Connection: keep-alive"),
)
_INTERIM: Final = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


def _status(scenario: str) -> bytes:
    """Return the response about another scan of a scenario, after a long time."""
    body = envelope(status_object(SCENARIOS[scenario], 41, APPLICATION_ID, 1e9)).body
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _echo(response: bytes, head: bytes, rng: random.Random) -> bytes:
    """Return a page with the request, and the key in it."""
    del response
    credentials = b"".join(re.findall(rb"(?im)^authorization: (.*?)\r$", head))
    body = b"<title>%s</title>" % credentials + head * rng.choice((1, 50))
    line = rng.choice((b"200 OK", b"502 Bad Gateway", b"407 " + credentials))
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (line, len(body), body)


REWRITES: Final[dict[str, Callable[[bytes, bytes, random.Random], bytes]]] = {
    "interim": lambda response, _, rng: rng.choice(_INTERIM) * rng.choice((1, 3, 30, 3000)) + response,
    "header": lambda response, _, rng: response.replace(b"\r\n", b"\r\n" + rng.choice(_HEADERS) + b"\r\n", 1),
    "twice": lambda response, *_: response * 2,
    "forged-after": lambda response, *_: response + _status("done"),
    "echo": _echo,
    "noise": lambda _response, _head, rng: rng.randbytes(rng.choice((1, 100, 5000))),
    "other-status": lambda response, _, rng: response.replace(
        b" 200 ", rng.choice((b" 201 ", b" 203 ", b" 206 ", b" 304 ", b" 599 ")), 1
    ),
}
"""Faults that change a response without TLS. They get the response and the head of the request."""
NEVER_WHOLE: Final = ("refuse", "echo", "noise", "other-status")
"""Faults that let no pass through if they hit every connection."""


class Plan(NamedTuple):
    """The fault of a gate, and the connections that it hits."""

    gate: int  # its number
    tls: bool
    fault: str
    first: int  # the number of the first connection to hit
    share: float  # of the connections from then on

    def hits(self, number: int) -> bool:
        """Return whether the fault hits the connection with this number."""
        return number >= self.first and (number * 61 + self.gate * 17) % 100 < 100 * self.share

    def position(self, number: int) -> int:
        """Return the byte position for the connection. The connections of all gates cover each position."""
        far = 1 if number % 5 else 97  # into the body of an upload
        return (self.gate * 29 + number) % SPANS[self.tls, self.fault.endswith("-up")] * far

    @property
    def never_whole(self) -> bool:
        """Whether no response arrives as it was sent."""
        return not self.first and self.share == 1 and not self.tls and self.fault in NEVER_WHOLE


class Proxy:
    """The proxy. `close` waits for the end of all connections."""

    def __init__(self, plan: Plan, port: int) -> None:
        self.plan, self.target = plan, port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"{'https' if plan.tls else 'http'}://127.0.0.1:{self.listener.getsockname()[1]}/threadfix"
        self.heads: dict[int, bytes] = {}  # the first bytes of the gate, by the number of the connection
        self.hits: list[int] = []  # the byte positions of the faults that happened
        self.over = threading.Event()  # the gate has ended
        self.unclosed = 0  # the connections that the gate did not close
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop, after the gate has ended, and count the connections that are not closed."""
        self.over.set()
        self.listener.close()
        for thread in self._threads:
            thread.join(10)
            self.unclosed += thread.is_alive()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.plan.fault == EARLY and self.plan.hits(len(self._threads)):
                    self.hits.append(0)
                    client.sendall(_status("stuck"))
                thread = threading.Thread(target=self._serve, args=(client, len(self._threads)), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket, number: int) -> None:
        # A reset by either end closes the connection.
        with client, suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                _Link(self, client, server, number).relay()
            client.settimeout(QUIET / 20)
            late = 0
            while late < 20:
                try:
                    if not client.recv(65536):
                        return
                except TimeoutError:
                    late += self.over.is_set()
            self.unclosed += 1


class _Link:
    """A connection of the gate, and its continuation to the sandbox."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket, number: int) -> None:
        self.proxy, self.client, self.server, self.number = proxy, client, server, number
        self.fault = proxy.plan.fault if proxy.plan.hits(number) else "none"
        self.at = proxy.plan.position(number)
        self.rng = random.Random(f"{proxy.plan.gate}/{number}")
        self.response = b""
        self.passed = {client: 0, server: 0}
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def relay(self) -> None:
        """Relay bytes until an end closes, or the fault ends the connection."""
        if self.fault == "refuse":
            self.proxy.hits.append(0)
            self._reset()
        going_on = True
        while going_on and not self.proxy.over.is_set():
            for source in select([self.client, self.server], [], [], 0.05)[0]:
                going_on = going_on and self._pass(source, source.recv(65536))

    def _pass(self, source: socket.socket, data: bytes) -> bool:
        """Pass bytes on; return whether the connection goes on."""
        before, self.passed[source] = self.passed[source], self.passed[source] + len(data)
        if source is self.client:
            head = self.proxy.heads.get(self.number, b"")
            self.proxy.heads[self.number] = head + data[: 2000 - len(head)]
            if not data:
                return False
        peer = self.server if source is self.client else self.client
        victim = self.client if self.fault.endswith("-up") else self.server
        if source is victim and self.fault in CUTS and self.passed[source] > self.at >= before:
            return self._cut(peer, data, self.at - before)
        if source is self.server and self.fault in REWRITES:
            self.response += data
            if not data:
                self.proxy.hits.append(len(self.response))
                self.client.sendall(REWRITES[self.fault](self.response, self.proxy.heads[self.number], self.rng))
        elif source is self.server and self.fault == "trickle":
            self._trickle(data)
        else:
            peer.sendall(data)
        if not data:
            self.client.shutdown(socket.SHUT_WR)
        return bool(data)

    def _reset(self) -> NoReturn:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        raise ConnectionResetError

    def _cut(self, peer: socket.socket, data: bytes, at: int) -> bool:
        self.proxy.hits.append(self.at)
        kind = self.fault.removesuffix("-up")
        peer.sendall(data[:at] + (self.rng.choice(_JUNK) + data[at:] if kind == "insert" else b""))
        if kind == "reset":
            self._reset()
        if kind == "end":
            self.client.shutdown(socket.SHUT_WR)
        # After `hold` the connection stays half-open: nothing moves until the gate closes it.
        return kind == "insert"

    def _trickle(self, data: bytes) -> None:
        self.proxy.hits.append(0)
        pause = self.rng.choice((0.001, 0.004, 0.02))
        for byte in data:
            if self.proxy.over.wait(pause):
                return
            self.client.sendall(bytes([byte]))
