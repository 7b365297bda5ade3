"""Sends HTTP requests, each within one time limit and on a new connection. Every failure is a value.

Each request runs in a new thread. At the end of its time, the calling thread shuts the connection down. A socket's own
time limit bounds neither the DNS lookup nor headers or a body that trickle in.

No connection serves two requests, so a late or repeated response cannot be mistaken for the next response. The price is
a handshake for each poll.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from gate import __version__
from gate.model.advice import FailureKind
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.net.connections import NO_CONNECTION, OK, Adapter, ConnectionFacts, Exchange, Tls
from gate.net.failures import BROKEN, failure_of
from gate.net.framing import LARGE_PIECE, date, decompress, retry_after
from gate.net.peer import is_loopback, load_trust_store
from gate.text.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gate.net.peer import Peer
    from gate.text.sanitizer import Sanitizer

T = TypeVar("T")

RESPONSE_LIMIT: Final = 1024 * 1024  # bytes of a body after decompression; a status response has about 400
LONG_RESPONSE_LIMIT: Final = 64 * 1024 * 1024  # of a body that has an entry for each scan, finding or team
START: Final = 20_000  # bytes of a body that its response keeps
FORM: Final = "application/x-www-form-urlencoded"  # the content type of a form without files
LONGER: Final = 2  # a socket's time limit is longer by this factor, so that the request's own limit ends it first


class RequestMade(NamedTuple):
    """The facts of a request for the log, without headers and bodies."""

    method: str
    path: str  # of the URL, without its query
    http_status: int | None  # None without a response
    milliseconds: float
    clock_ahead: float | None = None  # seconds by which the server's clock (`Date`) is ahead of this machine's
    connection: ConnectionFacts = NO_CONNECTION


class Response(NamedTuple):
    """A complete response. Its texts are not sanitized."""

    http_status: int  # 200 to 999, or 101
    headers: Mapping[str, str]  # by name, in any case; the values of a repeated header are joined with commas
    body: bytes  # its first `START` bytes, decompressed
    content: Any = None  # the whole body, as the transport's `read` returned it
    early: bool = False  # whether it began before the whole request was sent

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next request; a date is measured against the server's clock if that is known."""
        sent = self.date
        return retry_after(self.headers.get("Retry-After"), time.time() if sent is None else sent)

    @property
    def date(self) -> float | None:
        """The time of the response by the server's clock, in seconds since the epoch."""
        return date(self.headers.get("Date"))

    @property
    def age(self) -> int:
        """Seconds that the response spent in caches; 0 without an `Age` header, 1 if the header is malformed."""
        value = self.headers.get("Age", "0").strip(" \t")
        return int(value) if re.fullmatch("[0-9]{1,9}", value) else 1


class Body(Protocol):
    """A long body; each piece is requested after the previous piece has been sent."""

    content_type: str
    len: int  # bytes, by the name that `requests` looks for

    def __iter__(self) -> Iterator[bytes]: ...


class _Request(NamedTuple):
    url: str
    timeout: float
    limit: int
    form: bytes | None
    body: Body | None
    connect_timeout: float | None
    with_key: bool

    @property
    def method(self) -> str:
        return "GET" if self.form is None and self.body is None else "POST"


class Transport:
    """Sends requests to one server; safe to use from several threads.

    Args:
        server: of the requests.
        sanitizer: for texts of the server in failures.
        trace: called for each request, in the thread that made it.
        read: converts the body of each response. It runs within the time of the request.
    """

    def __init__(
        self,
        server: Peer,
        sanitizer: Sanitizer,
        trace: Callable[[RequestMade], None],
        read: Callable[[bytearray], object] = bytes,
    ) -> None:
        self._server = server
        self._sanitizer = sanitizer
        self._trace = trace
        self._read = read
        # Loopback never goes through a proxy.
        self._proxies = {} if is_loopback(server.url) else requests.utils.get_environ_proxies(server.url)
        self._lock = threading.Lock()
        self._tls: Tls | None = None
        self._under_way: set[Exchange] = set()
        self._closed = False
        # The file would receive the secrets of each session, and with them the key.
        os.environ.pop("SSLKEYLOGFILE", None)
        if server.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def request(  # noqa: PLR0913 - the request, and its limits
        self,
        url: str,
        timeout: float,
        data: Mapping[str, str] | Body | None = None,
        *,
        limit: int = RESPONSE_LIMIT,
        connect_timeout: float | None = None,
        with_key: bool = True,
    ) -> Response | Failure:
        """Make a GET request, or a POST request with a form or a long body, within `timeout` seconds.

        `limit` is the bytes of the response's body after decompression. `connect_timeout` limits the connection, and
        each pause of the server within its response. A response that begins before the whole body was sent ends the
        sending, and counts. A failure of the network is a value; only a bug, or an error of a body, is raised.
        """
        form, body = (urlencode(data).encode(), None) if isinstance(data, Mapping) else (None, data)
        request = _Request(url, timeout, limit, form, body, connect_timeout, with_key)
        exchange = Exchange(listens=body is not None)
        began = time.monotonic()
        response = self._run(exchange, lambda exchange: self._send(exchange, request), timeout, connect_timeout)
        facts = ((time.monotonic() - began) * 1000, exchange.clock_ahead, exchange.connection)
        self._trace(RequestMade(request.method, urlsplit(url).path, exchange.http_status, *facts))
        return response

    def probe(self, work: Callable[[Exchange], T], timeout: float) -> T | Failure:
        """Run `work` on the network within `timeout` seconds, and return its result or the failure."""
        return self._run(Exchange(), work, timeout)

    @property
    def tls(self) -> Tls:
        """The contexts of TLS connections, made once, because loading a trust store takes longer than a request."""
        with self._lock:
            if self._tls is None:
                server, trust_store = self._context()
                proxy = self._context()[0] if self._server.client_cert and self._proxies else server
                if self._server.client_cert:
                    server.load_cert_chain(self._server.client_cert, self._server.client_key)
                self._tls = Tls(server, proxy, trust_store)
            return self._tls

    def _context(self) -> tuple[ssl.SSLContext, str]:
        insecure = self._server.insecure
        context = create_urllib3_context(cert_reqs=ssl.CERT_NONE if insecure else ssl.CERT_REQUIRED)
        return context, "" if insecure else load_trust_store(context, self._server.ca_file)

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy, without its password; None without a proxy."""
        proxy = requests.utils.select_proxy(self._server.url, self._proxies)
        return proxy and self._sanitizer.sanitize(proxy.rpartition("@")[2].rpartition("://")[2].partition("/")[0], 100)

    @property
    def host(self) -> str:
        """Host and port of the server, for messages."""
        return urlsplit(self._server.url).netloc

    def close(self) -> None:
        """Abort the requests that are under way, and send nothing more."""
        self._closed = True
        for exchange in list(self._under_way):
            exchange.abort()

    def _run(
        self, exchange: Exchange, work: Callable[[Exchange], T], timeout: float, connect_timeout: float | None = None
    ) -> T | Failure:
        self._under_way.add(exchange)
        if self._closed:
            # Checked after the exchange was added, so that either this thread or `close` aborts it.
            exchange.abort()
        try:
            done = exchange.run(work, timeout, connect_timeout)
        except BROKEN as error:
            return replace(failure_of(error, self.host, self._sanitizer, self.proxy), unsent=not exchange.connected)
        finally:
            self._under_way.discard(exchange)
        return self._timed_out(exchange, timeout, connect_timeout) if done is None else done

    def _timed_out(self, exchange: Exchange, timeout: float, connect_timeout: float | None) -> Failure:
        """Return the failure of a request that was aborted at the end of its time."""
        unsent = not exchange.connected
        if unsent and connect_timeout is not None:
            timeout = min(timeout, connect_timeout)
        is_sending = exchange.listens and not unsent and not exchange.whole
        what = f"{self.host} did not {'take the whole file' if is_sending else 'respond'} within {seconds(timeout)}."
        return Failure(Reason.UNREACHABLE, what, FailureKind.TIMEOUT, unsent=unsent)

    def _send(self, exchange: Exchange, request: _Request) -> Response | Failure:
        # A session would resolve a redirect and read its body, replace the key by `.netrc`, and keep cookies.
        adapter = Adapter(exchange, (lambda: self.tls) if request.url.startswith("https:") else None)
        body = request.body
        content_type = body.content_type if body else FORM if request.form is not None else None
        message = requests.Request(
            request.method,
            request.url,
            headers={
                # Without `Accept`, ThreadFix does not find the endpoint.
                "Accept": "application/json",
                # Most responses are too small to compress.
                "Accept-Encoding": "identity",
                **({"Authorization": f"APIKEY {self._server.api_key.reveal()}"} if request.with_key else {}),
                **({"Cache-Control": "no-cache"} if request.method == "GET" else {}),
                "Connection": "close",
                "User-Agent": f"threadfix-gate/{__version__}",
                **({"Content-Type": content_type} if content_type else {}),
            },
            data=_WatchedBody(body, exchange) if body else request.form,
        ).prepare()
        timeouts = ((request.connect_timeout or request.timeout) * LONGER, request.timeout * LONGER)
        with (
            contextlib.closing(exchange),
            contextlib.closing(adapter),
            adapter.send(
                message, stream=True, timeout=timeouts, verify=not self._server.insecure, proxies=self._proxies
            ) as response,
        ):
            exchange.http_status = response.status_code
            sent = date(response.headers.get("Date"))
            exchange.clock_ahead = None if sent is None else sent - time.time()
            content = self._content(exchange, response, request)
            if len(content) > request.limit:
                what = f"{self.host} returned more than {request.limit // 1024**2} MiB, and the gate reads no more."
                return Failure(Reason.PROTOCOL, what, http_status=response.status_code)
            early = body is not None and not exchange.whole
            return Response(response.status_code, response.headers, bytes(content[:START]), self._read(content), early)

    @staticmethod
    def _content(exchange: Exchange, response: requests.Response, request: _Request) -> bytearray:
        """Return the decompressed body, but no more than one byte beyond the limit."""
        if request.connect_timeout is not None:
            exchange.limit_pauses(request.connect_timeout)
        try:
            body = bytearray()
            while piece := response.raw.read(min(LARGE_PIECE, request.limit + 1 - len(body)), decode_content=False):
                body += piece
            return decompress(body, response.headers.get("Content-Encoding", ""), request.limit)
        except BROKEN:
            if not request.body or response.status_code == OK:
                raise
            # A server that refuses a body and closes may lose the end of its response. The HTTP status is enough.
            return bytearray()


class _WatchedBody:
    """A body that marks its exchange when all of it has been sent."""

    def __init__(self, body: Body, exchange: Exchange) -> None:
        self.len = body.len
        self._body = body
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        self._exchange.whole = True
