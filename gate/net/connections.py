"""Connections that serve one request, that another thread can shut down, and that read HTTP strictly.

Only this module has subclasses of `http.client`, `urllib3` and the adapter of `requests`.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import io
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection

from gate.net import start_thread
from gate.net.failures import WOULD_BLOCK
from gate.net.framing import MalformedError, dechunked, is_chunked, read_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate.net.duplex import Duplex

T = TypeVar("T")

OK: Final = 200  # the only HTTP status that counts; with any other 2xx the content is partial, changed or not ready


@dataclass(slots=True)
class ConnectionFacts:
    """The connection of a request, as far as it was made. Through a proxy, the first three fields are the proxy's."""

    address: str = ""  # IP address; empty without a TCP connection
    port: int = 0
    milliseconds: float = 0  # to connect, including the DNS lookup
    tls: str | None = None  # such as `TLSv1.3`; None without a completed handshake
    certificate: dict[str, Any] = field(default_factory=dict)  # from `getpeercert`; empty if it was not verified

    @property
    def issuer(self) -> str:
        """Name of the certificate's issuer; empty if it has no name. Not sanitized."""
        names = dict(pair for pairs in self.certificate.get("issuer", ()) for pair in pairs[:1])
        return names.get("commonName") or names.get("organizationName") or ""

    @property
    def expires(self) -> float | None:
        """The certificate's end, in seconds since the epoch; None if it was not verified."""
        return ssl.cert_time_to_seconds(self.certificate["notAfter"]) if self.certificate else None


NO_CONNECTION: Final = ConnectionFacts()


@dataclass(slots=True, eq=False)
class Exchange:
    """Work on the network in a new thread, with the sockets to shut down if it takes too long."""

    http_status: int | None = None  # None before there is a response
    clock_ahead: float | None = None  # see `RequestMade`
    connection: ConnectionFacts = field(default_factory=ConnectionFacts)
    listens: bool = False  # whether to look for a response while the body is sent
    whole: bool = False  # whether the whole body was sent
    _outcome: Any = None
    _error: BaseException | None = None
    _aborted: bool = False
    _duplicate: socket.socket | None = None
    _connected: socket.socket | None = None
    _tracked: list[Any] = field(default_factory=list)
    _connecting_over: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def connected(self) -> bool:
        """Whether the connection is complete, including TLS and a proxy's tunnel.

        If not, nothing of the request has left this machine, and after an abort nothing will.
        """
        return self._connected is not None

    def run(self, work: Callable[[Exchange], T], timeout: float, connect_timeout: float | None = None) -> T | None:
        """Return the result of `work`, or None if it, or its connection, takes too long.

        Raises:
            OutOfThreadsError: the work could not be started.
            ConnectionAbortedError: the exchange was aborted before.
            BaseException: `work` raised it.
        """
        deadline = time.monotonic() + timeout
        self._check_wanted()
        start_thread(partial(self._work, work))
        in_time = connect_timeout is None or self._connecting_over.wait(min(connect_timeout, timeout))
        if not in_time or not self._over.wait(max(0.0, deadline - time.monotonic())):
            self.abort()
            return None
        if self._error is not None:
            raise self._error
        return cast("T", self._outcome)

    def _work(self, work: Callable[[Exchange], object]) -> None:
        try:
            self._outcome = work(self)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self._error = error
            self.close()
        finally:
            self._close_duplicate()
            self._connecting_over.set()
            self._over.set()

    def track_socket(self, connection: socket.socket) -> None:
        """Keep a second handle of a new socket for `abort`, because TLS takes the first handle over."""
        self.track(connection)
        self._duplicate = connection.dup()
        self._check_wanted()

    def track_connected(self, connection: socket.socket) -> None:
        """Keep the socket of a complete connection for `abort`, and close the second handle."""
        self.track(connection)
        self._connected = connection
        # Checked last: if `abort` comes first and the exchange is not connected, nothing will be sent.
        self._check_wanted()
        self._connecting_over.set()
        self._close_duplicate()

    def limit_pauses(self, seconds: float) -> None:
        """Limit each pause of the server within the body of its response."""
        assert self._connected is not None  # noqa: S101 - a response comes over a connection
        with contextlib.suppress(OSError):
            self._connected.settimeout(seconds)

    def track(self, closable: socket.socket | http.client.HTTPResponse) -> None:
        """Remember to close a socket or a response when the request is over."""
        self._tracked.append(closable)

    def close(self) -> None:
        """Close each socket and response of the request. The libraries leave some open if they raise."""
        # A socket stays open until the last response that reads from it is closed.
        for closable in reversed(self._tracked):
            with contextlib.suppress(OSError):
                closable.close()

    def abort(self) -> None:
        """Shut the connection down, so that the thread of the work ends. A DNS lookup ends by itself."""
        self._aborted = True
        for tracked in (self._duplicate, self._connected):
            # TLS within a proxy's TLS is not a socket, but contains a socket.
            connection = getattr(tracked, "socket", tracked)
            # `close` would wait for the thread that reads. That thread may be closing it now.
            with contextlib.suppress(OSError):
                if connection:
                    # The method of a TLS socket first ends the encryption, so the other thread could send in clear.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _check_wanted(self) -> None:
        # Called after the socket was kept, so that either this thread or `abort` shuts it down.
        if self._aborted:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the request was given up")

    def _close_duplicate(self) -> None:
        if self._duplicate:
            self._duplicate.close()


class _HTTPResponse(http.client.HTTPResponse):
    """The standard library's response, without its leniency."""

    fp: io.BufferedReader

    def begin(self) -> None:
        """Read the head of the final response."""
        source = self.fp
        self.fp = io.BufferedReader(io.BytesIO(read_head(source)))
        try:
            super().begin()
        finally:
            self.fp = source
        if is_chunked(self.headers):
            self.chunked = False
            self.fp = dechunked(source)
        self.will_close = True
        # Only the key identifies the gate, and a cookie that is not parsed cannot break anything.
        for name in ("Set-Cookie", "Set-Cookie2"):
            del self.headers[name]


class _Tracked:
    """A connection that hands its sockets to its exchange."""

    sock: Any

    def __init__(self, exchange: Exchange, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        self._exchange = exchange
        self._duplex: Duplex | None = None
        self._ready = False  # whether the connection is complete; the request to a tunnel's proxy comes before
        self.response_class = self._response
        super().__init__(*args, **kwargs)

    def _response(self, sock: socket.socket, *args: Any, **kwargs: Any) -> _HTTPResponse:  # noqa: ANN401 - handed through
        response = _HTTPResponse(cast("Any", self._duplex or sock), *args, **kwargs)
        self._exchange.track(response)
        return response

    def _new_conn(self) -> socket.socket:
        began = time.monotonic()
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]
        facts = self._exchange.connection
        facts.milliseconds = (time.monotonic() - began) * 1000
        self._exchange.track_socket(connection)
        # The server may have reset the connection already.
        with contextlib.suppress(OSError):
            facts.address, facts.port = connection.getpeername()[:2]
        return connection

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if isinstance(self.sock, ssl.SSLSocket):
            facts = self._exchange.connection
            facts.tls = self.sock.version()
            # Only `doctor` shows it, so a certificate that Python cannot decode must not fail the request.
            with contextlib.suppress(OSError, ValueError):
                facts.certificate = self.sock.getpeercert() or {}
        self._ready = True

    def send(self, data: Any) -> None:  # noqa: ANN401 - handed through as it is
        """Send a part of the request; a long body is sent while listening for the response."""
        exchange = self._exchange
        if self.sock is None:
            self.connect()
        if self._ready and not exchange.connected:
            _refuse_early(self.sock)
            exchange.track_connected(self.sock)
        # TLS within a proxy's TLS is not a socket, and can only block.
        if exchange.connected and exchange.listens and isinstance(self.sock, socket.socket):
            from gate.net.duplex import Duplex

            self._duplex = self._duplex or Duplex(self.sock)
            self._duplex.send(data)
        else:
            super().send(data)  # type: ignore[misc]


def _refuse_early(connection: socket.socket) -> None:
    """Raise an error if bytes came before the request, or the server has closed the connection."""
    timeout = connection.gettimeout()
    connection.settimeout(0)
    try:
        early = connection.recv(1)
    except WOULD_BLOCK:
        connection.settimeout(timeout)
        return
    if early:
        raise MalformedError("began before the request was sent")
    raise ConnectionResetError(errno.ECONNRESET, "the server has closed the connection")


class _TrackedHTTP(_Tracked, HTTPConnection):  # type: ignore[misc]  # a class is a function that makes responses, too
    pass


class _TrackedHTTPS(_Tracked, HTTPSConnection):  # type: ignore[misc]
    pass


class Tls(NamedTuple):
    """The contexts of TLS connections."""

    server: ssl.SSLContext
    proxy: ssl.SSLContext  # without the client certificate, which is for ThreadFix alone
    trust_store: str  # the origin of the trusted certificates, and their number if it is known; empty if not verified


class Adapter(requests.adapters.HTTPAdapter):
    """The adapter of `requests` for one request, whose connection `exchange` can shut down."""

    def __init__(self, exchange: Exchange, tls: Callable[[], Tls] | None) -> None:
        self._exchange = exchange
        self._tls = tls
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through as they are
        """Give the pool our TLS context."""
        if self._tls:
            kwargs["ssl_context"] = self._tls().server
        super().init_poolmanager(*args, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - handed through as it is
        """Return the manager of connections through `proxy`, with our TLS contexts; SOCKS raises an error."""
        if proxy.lower().startswith("socks"):
            # If the packages for it are installed, the connection would not be of our classes.
            raise requests.exceptions.InvalidSchema("SOCKS")
        if self._tls:
            kwargs["ssl_context"], kwargs["proxy_ssl_context"], _ = self._tls()
        return super().proxy_manager_for(proxy, **kwargs)

    def cert_verify(self, *_: object) -> None:
        """Leave the contexts unchanged: they have their trust store."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - handed through
        """Return the pool, with connections that the exchange can shut down."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(_TrackedHTTPS if pool.scheme == "https" else _TrackedHTTP, self._exchange)
        return pool
