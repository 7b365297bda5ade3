"""One HTTP request at a time, within one time limit, on a connection of its own; every failure is a value.

The whole request is made in a thread of its own, and at the end of its time the connection is closed under it. A
socket's own time limit would bound neither the DNS lookup nor headers or a body that trickle in.

No connection serves two requests: what a server or a proxy sends too much, too late or twice then has nobody to be
mistaken for. A handshake more for each poll is the price.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from gate import __version__, threads
from gate.errors import OutOfThreadsError
from gate.history import Failure
from gate.reasons import Reason
from gate.threadfix.certificates import locations
from gate.threadfix.links import is_loopback
from gate.wording import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gate.settings import Server
    from gate.text import Sanitizer

T = TypeVar("T")

RESPONSE_LIMIT: Final = 1024 * 1024
"""Bytes of a response's body, after unpacking. A status response has about 400."""
OK: Final = 200
"""The only HTTP status of a response that is one; what comes with another 2xx is partial, changed or yet to come."""
LONGER: Final = 2
"""How much longer than the request's a socket's own time limit is: the request's is the one that is to end it."""

PRIVATE_CA_HINT: Final = (
    "If your company signs its own certificates, name them with --ca-file or SSL_CERT_FILE; else ask your ThreadFix "
    "administrator to renew the certificate."
)
BROKEN_HINT: Final = (
    "Check that --url names ThreadFix, and begins with https:// where it speaks https; then run the gate again."
)
MACHINE_HINT: Final = "Raise the limit (ulimit -n, ulimit -u), or wait for fewer scans in one run."


@dataclass(frozen=True, slots=True)
class RequestMade:
    """One request, for the log: never a header or a body.

    Attributes:
        method: such as `GET`.
        path: of the URL, without its query.
        http_status: None where no response came.
        milliseconds: from its start to the end of the body, or to where it was given up.
        clock_ahead: seconds by which the server's clock, its `Date` header, is ahead of this machine's.
    """

    method: str
    path: str
    http_status: int | None
    milliseconds: float
    clock_ahead: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What a server sent back, whole. Nothing in it is safe text yet.

    Attributes:
        http_status: 200 to 999, or 101.
        headers: by name, in any case.
        body: unpacked; at most `RESPONSE_LIMIT` bytes.
    """

    http_status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to be left alone."""
        return retry_after(self.headers.get("Retry-After"), time.time())

    @property
    def date(self) -> float | None:
        """When it was sent by the server's clock, in seconds since the epoch."""
        return date(self.headers.get("Date"))


@dataclass(slots=True, eq=False)
class Exchange:
    """Work on the network in a thread of its own, and the sockets to shut down if it takes too long.

    Attributes:
        http_status: of the response, as soon as there is one.
        clock_ahead: see `RequestMade`.
    """

    http_status: int | None = None
    clock_ahead: float | None = None
    _outcome: Any = None
    _error: BaseException | None = None
    _aborted: bool = False
    _duplicate: socket.socket | None = None
    _connected: socket.socket | None = None
    _response: http.client.HTTPResponse | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, work: Callable[[Exchange], T], timeout: float) -> T | None:
        """What `work` returns, or None if that is not here within `timeout` seconds.

        Raises:
            OutOfThreadsError: the work could not be started.
            BaseException: what `work` raised.
        """
        threads.start(partial(self._work, work))
        if not self._over.wait(timeout):
            self.abort()
            return None
        if self._error is not None:
            raise self._error
        done: T = self._outcome
        return done

    def _work(self, work: Callable[[Exchange], object]) -> None:
        try:
            self._outcome = work(self)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self._error = error
        finally:
            self._release()
            if self._response:
                # One whose headers contradict each other is left open, with its socket, by those who read them.
                self._response.close()
            self._over.set()

    def track_socket(self, connection: socket.socket) -> None:
        """Know a socket that may yet change hands, by a second handle: TLS takes the first over for its handshake.

        Raises:
            ConnectionAbortedError: the exchange was given up already, so that nothing is to be sent any more.
        """
        self._duplicate = connection.dup()
        self._still_wanted()

    def track_connected(self, connection: socket.socket) -> None:
        """Know the socket that all is sent and received on, and let go of the second handle.

        Raises:
            ConnectionAbortedError: the exchange was given up already, so that nothing is to be sent any more.
        """
        self._connected = connection
        self._still_wanted()
        self._release()

    def track_response(self, response: _HTTPResponse) -> _HTTPResponse:
        """Know what is to be closed at the end."""
        self._response = response
        return response

    def abort(self) -> None:
        """Shut the connection down under the work, so that its thread ends. A DNS lookup ends by itself."""
        self._aborted = True
        for tracked in (self._duplicate, self._connected):
            # Not `close`: that would wait for the thread that reads. It may have closed it in the same moment.
            with contextlib.suppress(OSError):
                if tracked:
                    tracked.shutdown(socket.SHUT_RDWR)

    def _still_wanted(self) -> None:
        # Looked at after the socket is known: whichever of the two threads comes second shuts it down.
        if self._aborted:
            raise ConnectionAbortedError(errno.ECONNABORTED, "the request was given up")

    def _release(self) -> None:
        if self._duplicate:
            self._duplicate.close()


class _HTTPResponse(http.client.HTTPResponse):
    """The standard library's response, stricter where that one is lenient at our cost."""

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # private, the same in 3.11 to 3.14
        if http.client.CONTINUE < status < OK and status != http.client.SWITCHING_PROTOCOLS:
            # It skips only 100, and would take any other interim response for the last one.
            status = http.client.CONTINUE
        return version, status, reason

    def begin(self) -> None:
        super().begin()
        # The key is all the identity there is. A cookie that nobody parses cannot break anything.
        for name in ("Set-Cookie", "Set-Cookie2"):
            del self.headers[name]

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            # It would read on without a limit. This one it takes for a broken chunk.
            raise ValueError("negative chunk size")
        return size


class _Tracked:
    """A connection that tells its exchange which sockets it has."""

    sock: socket.socket

    def __init__(self, exchange: Exchange, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        self._exchange = exchange
        self.response_class = self._response
        super().__init__(*args, **kwargs)

    def _response(self, *args: Any, **kwargs: Any) -> _HTTPResponse:  # noqa: ANN401 - handed through as they are
        return self._exchange.track_response(_HTTPResponse(*args, **kwargs))

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            self._exchange.track_socket(made)
        except OSError:
            made.close()
            raise
        return made

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._exchange.track_connected(self.sock)


class _TrackedHTTP(_Tracked, HTTPConnection):  # type: ignore[misc]  # a class is a function that makes responses, too
    pass


class _TrackedHTTPS(_Tracked, HTTPSConnection):  # type: ignore[misc]
    pass


class _Adapter(HTTPAdapter):
    """The adapter of `requests` for one request: its connection can be shut down from outside, and is used once."""

    def __init__(self, exchange: Exchange, tls: Callable[[], tuple[ssl.SSLContext, ssl.SSLContext]] | None) -> None:
        self._exchange = exchange
        self._tls = tls
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through as they are
        if self._tls:
            kwargs["ssl_context"] = self._tls()[0]
        super().init_poolmanager(*args, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - handed through as it is
        if proxy.lower().startswith("socks"):
            # Where its packages are there, the connection would be none of ours.
            raise requests.exceptions.InvalidSchema("SOCKS")
        if self._tls:
            # The client certificate is for ThreadFix alone.
            kwargs["ssl_context"], kwargs["proxy_ssl_context"] = self._tls()
        return super().proxy_manager_for(proxy, **kwargs)

    def cert_verify(self, *_: object) -> None:
        """Leave the contexts as they are: they have their trust store, and loading it takes longer than a request."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - handed through
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(_TrackedHTTPS if pool.scheme == "https" else _TrackedHTTP, self._exchange)
        return pool


class Transport:
    """Sends requests to one server; safe to use from several threads.

    Args:
        server: which server, and how to talk to it.
        scrub: makes text safe.
        trace: told of every request, in the thread that asked for it.
    """

    def __init__(self, server: Server, sanitizer: Sanitizer, trace: Callable[[RequestMade], None]) -> None:
        """Nothing is sent yet."""
        self._server = server
        self._sanitizer = sanitizer
        self._trace = trace
        # From the environment on our terms: for this machine itself none, whatever is set.
        self._proxies = {} if is_loopback(server.url) else get_environ_proxies(server.url)
        self._under_way: set[Exchange] = set()
        # Whoever can set a variable could read every session's secrets, the key among them, from the file it names.
        os.environ.pop("SSLKEYLOGFILE", None)
        if server.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def get(self, url: str, timeout: float) -> Response | Failure:
        """Make one GET request; its response, or what came instead, is here within `timeout` seconds.

        Raises:
            BaseException: a bug; a failure on the way is a value.
        """
        exchange = Exchange()
        began = time.monotonic()
        response = self._run(exchange, lambda exchange: self._send(exchange, "GET", url, timeout), timeout)
        took = (time.monotonic() - began) * 1000
        self._trace(RequestMade("GET", urlsplit(url).path, exchange.http_status, took, exchange.clock_ahead))
        return response

    def probe(self, work: Callable[[Exchange], T], timeout: float) -> T | Failure:
        """Do `work` on the network within the same time limit as a request, its failures as values too.

        Raises:
            BaseException: a bug; a failure on the way is a value.
        """
        return self._run(Exchange(), work, timeout)

    def tls_context(self, *, client_certificate: bool = True) -> ssl.SSLContext:
        """What connections do TLS with: whom they trust, and the certificate that they show.

        Raises:
            OSError: a file that was named cannot be used.
        """
        insecure = self._server.insecure
        made = create_urllib3_context(cert_reqs=ssl.CERT_NONE if insecure else ssl.CERT_REQUIRED)
        if not insecure:
            made.load_verify_locations(*locations(self.trust_store))
        if client_certificate and self._server.client_cert:
            made.load_cert_chain(self._server.client_cert, self._server.client_key)
        return made

    @property
    def trust_store(self) -> str:
        """Path of the certificates that are trusted."""
        return self._server.ca_file or DEFAULT_CA_BUNDLE_PATH

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy that requests go through, without its password."""
        found = select_proxy(self._server.url, self._proxies)
        if not found:
            return None
        return self._sanitizer.sanitize(found.rpartition("@")[2].rpartition("://")[2].partition("/")[0], 100)

    @property
    def host(self) -> str:
        """Host and port of the server, as messages call it."""
        return urlsplit(self._server.url).netloc

    def close(self) -> None:
        """Give up what is still under way."""
        for exchange in list(self._under_way):
            exchange.abort()

    def _run(self, exchange: Exchange, work: Callable[[Exchange], T], timeout: float) -> T | Failure:
        self._under_way.add(exchange)
        try:
            done = exchange.run(work, timeout)
        except (*_BROKEN, OutOfThreadsError) as error:
            return self._failure(error)
        finally:
            self._under_way.discard(exchange)
        if done is None:
            what = f"{self.host} did not answer within {seconds(timeout)}."
            return Failure(Reason.UNREACHABLE, what, timed_out=True)
        return done

    def _send(self, exchange: Exchange, method: str, url: str, timeout: float) -> Response | Failure:
        secure = url.startswith("https:")
        # An adapter and no session: a session resolves one redirect and reads its body whatever it is told, has
        # `.netrc` replace the key, and keeps cookies.
        adapter = _Adapter(exchange, (lambda: self._contexts) if secure else None)
        request = requests.Request(
            method,
            url,
            headers={
                # `Accept` is not a courtesy: without it ThreadFix does not find the endpoint.
                "Accept": "application/json",
                # Responses are too small to be packed.
                "Accept-Encoding": "identity",
                "Authorization": f"APIKEY {self._server.api_key.reveal()}",
                "Connection": "close",
                "User-Agent": f"threadfix-gate/{__version__}",
            },
        ).prepare()
        with (
            contextlib.closing(adapter),
            adapter.send(
                request, stream=True, timeout=timeout * LONGER, verify=not self._server.insecure, proxies=self._proxies
            ) as response,
        ):
            exchange.http_status = response.status_code
            sent = date(response.headers.get("Date"))
            exchange.clock_ahead = None if sent is None else sent - time.time()
            # In pieces, so that a small packed response cannot become a large one in memory.
            body: bytes = response.raw.read(RESPONSE_LIMIT + 1, decode_content=True)
            if len(body) > RESPONSE_LIMIT:
                return Failure(
                    Reason.PROTOCOL,
                    f"{self.host} answered with more than {RESPONSE_LIMIT // 1024} KiB; ThreadFix needs less than 1.",
                )
            return Response(response.status_code, response.headers, body)

    @cached_property
    def _contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """Those for ThreadFix and for a proxy; made once, because loading a trust store takes long."""
        return self.tls_context(), self.tls_context(client_certificate=False)

    def _failure(self, error: BaseException) -> Failure:
        """What went wrong on the way. The error's own text may hold a proxy's password, so only its kind is told."""
        chain = list(_causes(error))
        for cause in chain:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = self._sanitizer.sanitize(cause.verify_message).rstrip(".")
                return Failure(
                    Reason.UNREACHABLE,
                    f"the certificate of {self.host} does not verify: {why}.",
                    _CERTIFICATE_HINTS.get(cause.verify_code, PRIVATE_CA_HINT),
                    final=True,
                )
            if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
                return Failure(Reason.UNREACHABLE, _EXHAUSTED[cause.errno].format(host=self.host), MACHINE_HINT)
        for kind, what, hint in _FAILURES:
            if any(isinstance(cause, kind) for cause in chain):
                return Failure(Reason.UNREACHABLE, what.format(host=self.host), hint)
        return Failure(Reason.UNREACHABLE, f"the connection to {self.host} broke ({type(error).__name__}).")


# Whatever a server's bytes make the libraries raise is the server's failure and not a bug: the first is for what breaks
# on the way, the others are for what cannot be read.
_BROKEN: Final = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)

_EXHAUSTED: Final = {
    errno.EMFILE: "{host} was not asked: this process has no file descriptor left.",
    errno.ENFILE: "{host} was not asked: this machine has no file descriptor left.",
}

# The first that is in the chain of causes tells most.
_FAILURES: Final[tuple[tuple[type[BaseException], str, str | None], ...]] = (
    (OutOfThreadsError, "{host} was not asked: this machine gives the gate no thread more.", MACHINE_HINT),
    (
        requests.exceptions.InvalidSchema,
        "{host} was not asked: the proxy on the way to it speaks SOCKS, which the gate does not.",
        "Name an http proxy in HTTPS_PROXY, or put the host into NO_PROXY.",
    ),
    (
        urllib3.exceptions.ProxyError,
        "the proxy on the way to {host} does not let the gate through.",
        "Check HTTPS_PROXY, and put hosts that need no proxy into NO_PROXY.",
    ),
    (
        socket.gaierror,
        "the name {host} cannot be looked up.",
        "Check the host in --url, and that this machine may look up names of your network; then run the gate again.",
    ),
    (
        ConnectionRefusedError,
        "{host} refuses the connection.",
        "Check the port in --url, and that ThreadFix is running; then run the gate again.",
    ),
    (
        ssl.SSLError,
        "TLS with {host} fails.",
        "Check that it speaks https on this port, and TLS 1.2 or later.",
    ),
    (ConnectionResetError, "{host} broke the connection.", BROKEN_HINT),
    (urllib3.exceptions.DecodeError, "{host} answered with a body that cannot be unpacked.", None),
    (urllib3.exceptions.TimeoutError, "{host} did not answer in time.", None),
    (urllib3.exceptions.ProtocolError, "{host} broke the connection.", BROKEN_HINT),
)


# By OpenSSL's codes of what is wrong with a certificate.
_NOT_FOR_THIS_HOST: Final = (
    "Write the host in --url as it is in the certificate; if that is right already, ask your ThreadFix administrator "
    "for a certificate with this name in it."
)
_CERTIFICATE_HINTS: Final = {
    9: "Check this machine's clock; if it is right, ask your ThreadFix administrator for a certificate that is valid "
    "now.",
    10: "Ask your ThreadFix administrator to renew the certificate; and check this machine's clock.",
    62: _NOT_FOR_THIS_HOST,
    64: _NOT_FOR_THIS_HOST,
}


def date(value: str | None) -> float | None:
    """A `Date` header in seconds since the epoch; None where it cannot be read."""
    try:
        return parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number of them, or a date. None where it cannot be read.

    Args:
        value: the header's value.
        now: the time, in seconds since the epoch.
    """
    if value is None:
        return None
    if re.fullmatch("[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and everything that it was raised from or holds as its reason."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
            yield one
