"""Sends HTTP requests, each within one time limit and on a new connection. Every failure is a value.

Each request runs in a new thread. At the end of its time, the calling thread shuts the connection down. A socket's own
time limit bounds neither the DNS lookup nor headers or a body that trickle in.

No connection serves two requests, so an extra, late or repeated response cannot be mistaken for another one. The price
is a handshake for each poll.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from gate import __version__
from gate.model.advice import FailureKind
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.net.addresses import is_loopback
from gate.net.connections import OK, Adapter, ConnectionFacts, Exchange, Tls
from gate.net.failures import BROKEN, failure_of
from gate.net.framing import date, decompress, retry_after
from gate.net.libraries import requests
from gate.net.tls import load_trust_store
from gate.text.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gate.net.addresses import Certificates
    from gate.text.sanitizer import Sanitizer, Secret

T = TypeVar("T")

RESPONSE_LIMIT: Final = 1024 * 1024
"""Bytes of a response's body after decompression. A status response has about 400."""
FORM: Final = "application/x-www-form-urlencoded"
"""The content type of a form without files."""
LONGER: Final = 2
"""Factor from the request's time limit to that of its socket, so that the request's limit ends it first."""


@dataclass(frozen=True, slots=True)
class RequestMade:
    """The facts of a request for the log, without headers and bodies.

    Attributes:
        method: such as `GET`.
        path: of the URL, without its query.
        http_status: None without a response.
        milliseconds: from the start of the request to its end.
        clock_ahead: seconds by which the server's clock, by its `Date` header, is ahead of this machine's.
        connection: how far the connection got.
    """

    method: str
    path: str
    http_status: int | None
    milliseconds: float
    clock_ahead: float | None = None
    connection: ConnectionFacts = field(default_factory=ConnectionFacts)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. None of its text is sanitized.

    Attributes:
        http_status: 200 to 999, or 101.
        headers: by name, in any case; the values of a repeated header are joined with commas.
        body: decompressed.
        early: whether it began before the whole request was sent.
    """

    http_status: int
    headers: Mapping[str, str]
    body: bytes
    early: bool = False

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


class Peer(Protocol):
    """A server, and the way to connect to it."""

    @property
    def url(self) -> str:
        """Base URL."""
        ...

    @property
    def api_key(self) -> Secret:
        """Sent as `Authorization: APIKEY ...`."""
        ...

    @property
    def ca_file(self) -> tuple[Certificates, ...]:
        """The trust store; empty for the default one."""
        ...

    @property
    def client_cert(self) -> str | None:
        """Path of the client certificate; None without one."""
        ...

    @property
    def client_key(self) -> str | None:
        """Path of the certificate's key; None if it is in the same file."""
        ...

    @property
    def insecure(self) -> bool:
        """Whether the server's certificate is not verified."""
        ...


class Body(Protocol):
    """A request's body that is sent piece by piece."""

    @property
    def content_type(self) -> str:
        """Value of the `Content-Type` header."""
        ...

    @property
    def len(self) -> int:
        """Number of bytes, by the name that `requests` looks for."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces; each is requested after the previous piece has been sent."""
        ...


@dataclass(frozen=True, slots=True)
class _Request:
    """The arguments of a method of `Transport`."""

    method: str
    url: str
    timeout: float
    limit: int = RESPONSE_LIMIT
    form: bytes | None = None
    body: Body | None = None
    connect_timeout: float | None = None


class Transport:
    """Sends requests to one server; safe to use from several threads.

    Args:
        server: the server, and the way to connect to it.
        sanitizer: makes text safe.
        trace: receives the facts of each request, in the thread that made it.
    """

    def __init__(self, server: Peer, sanitizer: Sanitizer, trace: Callable[[RequestMade], None]) -> None:
        """Keep the arguments; send nothing."""
        self._server = server
        self._sanitizer = sanitizer
        self._trace = trace
        # Loopback never goes through a proxy, whatever the environment contains.
        self._proxies = {} if is_loopback(server.url) else requests.utils.get_environ_proxies(server.url)
        self._lock = threading.Lock()
        self._tls: Tls | None = None
        self._under_way: set[Exchange] = set()
        self._closed = False
        # The file would receive the secrets of each session, and with them the key.
        os.environ.pop("SSLKEYLOGFILE", None)
        if server.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get(self, url: str, timeout: float, *, limit: int = RESPONSE_LIMIT) -> Response | Failure:
        """Make a GET request, and return its response or the failure within `timeout` seconds.

        Args:
            url: of the endpoint.
            timeout: seconds of the whole request.
            limit: bytes of the response's body after decompression.

        Raises:
            BaseException: a bug; a failure of the network is a value.
        """
        return self._request(_Request("GET", url, timeout, limit))

    def post(
        self, url: str, form: Mapping[str, str], timeout: float, *, limit: int = RESPONSE_LIMIT
    ) -> Response | Failure:
        """Make a POST request with a form, and return its response or the failure within `timeout` seconds.

        Args:
            url: of the endpoint.
            form: its fields.
            timeout: seconds of the whole request.
            limit: bytes of the response's body after decompression.

        Raises:
            BaseException: a bug; a failure of the network is a value.
        """
        return self._request(_Request("POST", url, timeout, limit, form=urlencode(form).encode()))

    def upload(self, url: str, body: Body, *, connect_timeout: float, timeout: float) -> Response | Failure:
        """Make a POST request with a long body, and return its response or the failure within `timeout` seconds.

        A response that begins before the whole body was sent ends the sending, and counts.

        Args:
            url: of the endpoint.
            body: sent piece by piece.
            connect_timeout: seconds for the connection, and for each pause of the server within its response.
            timeout: seconds of the whole request.

        Raises:
            BaseException: a bug, or an error that `body` raised; a failure of the network is a value.
        """
        return self._request(_Request("POST", url, timeout, body=body, connect_timeout=connect_timeout))

    def _request(self, request: _Request) -> Response | Failure:
        exchange = Exchange(listens=request.body is not None)
        began = time.monotonic()
        response = self._run(
            exchange, lambda exchange: self._send(exchange, request), request.timeout, request.connect_timeout
        )
        took = (time.monotonic() - began) * 1000
        path = urlsplit(request.url).path
        status, ahead = exchange.http_status, exchange.clock_ahead
        self._trace(RequestMade(request.method, path, status, took, ahead, exchange.connection))
        return response

    def probe(self, work: Callable[[Exchange], T], timeout: float) -> T | Failure:
        """Run `work` on the network within a time limit, and return its result or the failure.

        Raises:
            BaseException: a bug; a failure of the network is a value.
        """
        return self._run(Exchange(), work, timeout)

    @property
    def tls(self) -> Tls:
        """The contexts of TLS connections, made once, because loading a trust store takes longer than a request.

        Raises:
            OSError: the client certificate cannot be used.
        """
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
        made = create_urllib3_context(cert_reqs=ssl.CERT_NONE if insecure else ssl.CERT_REQUIRED)
        return made, "" if insecure else load_trust_store(made, self._server.ca_file)

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy, without its password; None without a proxy."""
        found = requests.utils.select_proxy(self._server.url, self._proxies)
        if not found:
            return None
        return self._sanitizer.sanitize(found.rpartition("@")[2].rpartition("://")[2].partition("/")[0], 100)

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
            return replace(failure_of(error, self.host, self._sanitizer), unsent=not exchange.connected)
        finally:
            self._under_way.discard(exchange)
        if done is None:
            return self._timed_out(exchange, timeout, connect_timeout)
        return done

    def _timed_out(self, exchange: Exchange, timeout: float, connect_timeout: float | None) -> Failure:
        """Return the failure of a request that was aborted at the end of its time."""
        unsent = not exchange.connected
        if unsent and connect_timeout is not None:
            timeout = min(timeout, connect_timeout)
        what = f"{self.host} did not respond within {seconds(timeout)}."
        if exchange.listens and not unsent and not exchange.whole:
            what = f"{self.host} did not take the whole file within {seconds(timeout)}."
        return Failure(Reason.UNREACHABLE, what, FailureKind.TIMEOUT, unsent=unsent)

    def _send(self, exchange: Exchange, request: _Request) -> Response | Failure:
        secure = request.url.startswith("https:")
        # A session would resolve a redirect and read its body, replace the key by `.netrc`, and keep cookies.
        adapter = Adapter(exchange, (lambda: self.tls) if secure else None)
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
                "Authorization": f"APIKEY {self._server.api_key.reveal()}",
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
                what = f"{self.host} returned more than {request.limit // 1024} KiB; ThreadFix needs far less."
                return Failure(Reason.PROTOCOL, what, http_status=response.status_code)
            early = body is not None and not exchange.whole
            return Response(response.status_code, response.headers, content, early)

    @staticmethod
    def _content(exchange: Exchange, response: requests.Response, request: _Request) -> bytes:
        """Return the decompressed body, but no more than one byte beyond the limit.

        Raises:
            BaseException: the body cannot be read.
        """
        if request.connect_timeout is not None:
            exchange.limit_pauses(request.connect_timeout)
        try:
            pieces, left = [], request.limit + 1
            while piece := response.raw.read(left, decode_content=False):
                pieces.append(piece)
                left -= len(piece)
            return decompress(b"".join(pieces), response.headers.get("Content-Encoding", ""), request.limit)
        except BROKEN:
            if not request.body or response.status_code == OK:
                raise
            # A server that refuses a body and closes may lose the end of its response. The HTTP status is enough.
            return b""


class _WatchedBody:
    """A body that marks its exchange when all of it has been sent."""

    def __init__(self, body: Body, exchange: Exchange) -> None:
        self.len = body.len
        self._body = body
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self._body
        self._exchange.whole = True
