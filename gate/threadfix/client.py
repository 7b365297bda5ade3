"""Asks ThreadFix, and turns every answer or failure into an Observation.

One clock runs over a whole request: it is made in a thread of its own, and at the end of its time the connection is
closed under it. A socket's own time limit would bound neither the name look-up nor headers or a body that trickle in.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from gate import __version__
from gate.history import Answer, Observation, Target, Trouble
from gate.reasons import Reason
from gate.text import Scrubber, seconds
from gate.threadfix import certificates, replies
from gate.threadfix.links import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gate.settings import Server
    from gate.text import Secret

T = TypeVar("T")

REPLY_LIMIT: Final = 1024 * 1024
"""Bytes of a reply, after unpacking. A status reply has about 400."""
HTTP_OK: Final = range(200, 300)
REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)
DENIED: Final = frozenset({401, 403})
NOT_FOUND: Final = frozenset({404, 410})
STATUS_LIMIT: Final = 80
"""Characters of a status; the longest documented one has 24."""
PROXY_LOGIN: Final = 407
TEMPORARY: Final = frozenset({408, 425, 429, *range(500, 600)})

# `success: false` beside HTTP 200 is how ThreadFix refuses a key (Community Edition: "Authentication failed, check your
# API Key.", "API Key not found in database.", "The requested URL is restricted for your API Key.").
_SPEAKS_OF_KEY: Final = re.compile(
    r"api[ _-]?key|authenticat|authoriz|authoris|permission|credential|access (is )?denied|forbidden|restricted"
    r"|privilege",
    re.IGNORECASE,
)
_NAMES_KEY: Final = re.compile(r"api[ _-]?key", re.IGNORECASE)
"""What only a refusal of the key says; in an answer that something is not there, the other words may be its name."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”")
_PAGE_TITLE: Final = re.compile(rb"<title[^>]*>(.{1,200}?)</title", re.IGNORECASE | re.DOTALL)

CONTEXT_HINT: Final = (
    "Does --url lack its context path, such as /threadfix? If it has one, see what answers there instead of ThreadFix: "
    "a login page, a proxy, a load balancer."
)

HTTPS_HINT: Final = "ThreadFix wants https: write --url with https:// in front."

PRIVATE_CA_HINT: Final = (
    "If your company signs its own certificates, name them with --ca-file or SSL_CERT_FILE; else ask whoever runs "
    "ThreadFix to renew the certificate."
)

BROKEN_HINT: Final = (
    "Check that --url names ThreadFix, and begins with https:// where it speaks https; then run the gate again."
)


@dataclass(frozen=True, slots=True)
class RequestMade:
    """One request, for the log: never a header or a body.

    Attributes:
        http_status: None where no answer came.
        clock_ahead: seconds by which the server's clock, its `Date` header, is ahead of this machine's.
    """

    method: str
    path: str
    http_status: int | None
    milliseconds: float
    clock_ahead: float | None = None


class _KeyAuth(AuthBase):
    """`Authorization: APIKEY …`, as ThreadFix 2.x and 3.0 want it.

    As an auth object and not as a header, because a `.netrc` entry for the host would replace the header.
    """

    def __init__(self, key: Secret) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"APIKEY {self._key.reveal()}"
        return request


@dataclass(slots=True)
class Exchange:
    """Work on the network in a thread of its own, and the sockets to close if it takes too long."""

    outcome: Any = None
    error: BaseException | None = None
    http_status: int | None = None
    clock_ahead: float | None = None
    connecting: socket.socket | None = None
    connected: socket.socket | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, work: Callable[[Exchange], T], timeout: float) -> T | None:
        """What `work` returns, or None if that is not here within `timeout` seconds.

        Raises:
            BaseException: what `work` raised.
        """
        threading.Thread(target=self._work, args=(work,), daemon=True).start()
        if not self.over.wait(timeout):
            self.abandon()
            return None
        if self.error is not None:
            raise self.error
        done: T = self.outcome
        return done

    def _work(self, work: Callable[[Exchange], object]) -> None:
        _current.exchange = self
        try:
            self.outcome = work(self)
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self.error = error
        finally:
            self.finish()

    def hold(self, made: socket.socket) -> None:
        """Know a socket, so that it can be closed. By a second handle: for its handshake TLS takes the first over."""
        self.connecting = made.dup()

    def abandon(self) -> None:
        """Close the connection under the request, so that its thread ends. A name look-up ends by itself."""
        for held in (self.connecting, self.connected):
            # Not `close`: that would wait for the thread that reads. It may have closed it in the same moment.
            with contextlib.suppress(OSError):
                if held:
                    held.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Let go of the handle that is ours."""
        if self.connecting:
            self.connecting.close()
        self.over.set()


_current: Final = threading.local()


class _Tracked:
    """A connection that hands its socket to the exchange of its thread."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        _current.exchange.hold(made)
        return made

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through as they are
        if self.sock:
            _current.exchange.connected = self.sock
        super().request(*args, **kwargs)  # type: ignore[misc]


class _TrackedHTTP(_Tracked, HTTPConnection):
    pass


class _TrackedHTTPS(_Tracked, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _TrackedHTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TrackedHTTPS


_POOLS: Final = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """The adapter of `requests`, with connections that can be closed from outside."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through as they are
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - handed through as it is
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class Client:
    """A session with one ThreadFix server; safe to use from several threads.

    Args:
        server: which server, and how to talk to it.
        scrub: makes the server's words safe; every one of them goes through it here.
        connections: how many requests may be under way at once.
        trace: hears of every request; called in the thread that observes.
    """

    def __init__(
        self, server: Server, scrub: Scrubber, *, connections: int, trace: Callable[[RequestMade], None]
    ) -> None:
        """Build the session; nothing is sent yet."""
        self._server = server
        self._scrub = scrub
        self._trace = trace
        self._session = _session(server, connections)

    def observe(self, target: Target, timeout: float) -> Observation:
        """Ask once for the status of `target`; the answer is here within `timeout` seconds.

        Raises:
            BaseException: a bug; trouble with the server is a value.
        """
        return self._get(
            self._server.status_url(target), timeout, lambda reply, wait: self._answer(reply, target, wait)
        )

    def application(self, application_id: int, timeout: float) -> str | Trouble:
        """Ask once for an application; its name, empty where it has none.

        Raises:
            BaseException: a bug; trouble with the server is a value.
        """

        def read(reply: replies.Envelope, wait: float | None) -> str | Trouble:
            try:
                found = replies.application(reply)
            except replies.NotThreadFixError as error:
                what = f"{self.host} answered without an application: {self._scrub.clean(str(error))}."
                return Trouble(Reason.PROTOCOL, what, retry_after=wait)
            if found.id != application_id:
                return self._about_another(found.id, application_id)
            return self._scrub.clean(replies.words(found.name) or "", 80)

        return self._get(self._server.application_url(application_id), timeout, read)

    def probe(self, work: Callable[[Exchange], T], timeout: float) -> T | Trouble:
        """Do `work` on the network under the same clock as a request, its failures told in the same words.

        Raises:
            BaseException: a bug; trouble on the way is a value.
        """
        try:
            done = Exchange().run(work, timeout)
        except OSError as error:
            return self._failed(error)
        return self._late(timeout) if done is None else done

    def tls_context(self) -> ssl.SSLContext:
        """What the session's connections do TLS with: whom they trust, and the certificate that they show."""
        server = self._server
        made = create_urllib3_context(cert_reqs=ssl.CERT_NONE if server.insecure else ssl.CERT_REQUIRED)
        if not server.insecure:
            made.load_verify_locations(*certificates.locations(self.trust_store))
        if server.client_cert:
            made.load_cert_chain(server.client_cert, server.client_key)
        return made

    @property
    def trust_store(self) -> str:
        """Path of the certificates that are trusted."""
        return self._server.ca_file or DEFAULT_CA_BUNDLE_PATH

    @property
    def proxy(self) -> str | None:
        """Host and port of the proxy that requests go through, without its password."""
        found = select_proxy(self._server.url, self._session.proxies)
        if not found:
            return None
        return self._scrub.clean(found.rpartition("@")[2].rpartition("://")[2].partition("/")[0], 100)

    @property
    def host(self) -> str:
        """Host and port of the server, as messages call it."""
        return urlsplit(self._server.url).netloc

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _get(
        self, url: str, timeout: float, read: Callable[[replies.Envelope, float | None], T | Trouble]
    ) -> T | Trouble:
        """Make one request; `read` makes of a good envelope what was asked for."""
        exchange = Exchange()
        began = time.monotonic()
        done = exchange.run(lambda exchange: self._ask(exchange, url, timeout, read), timeout)
        took = (time.monotonic() - began) * 1000
        self._trace(RequestMade("GET", urlsplit(url).path, exchange.http_status, took, exchange.clock_ahead))
        return self._late(timeout) if done is None else done

    def _late(self, timeout: float) -> Trouble:
        return Trouble(Reason.UNREACHABLE, f"{self.host} did not answer within {seconds(timeout)}.")

    def _ask(
        self,
        exchange: Exchange,
        url: str,
        timeout: float,
        read: Callable[[replies.Envelope, float | None], T | Trouble],
    ) -> T | Trouble:
        try:
            with self._session.get(url, timeout=timeout, allow_redirects=False, stream=True) as response:
                exchange.http_status = response.status_code
                exchange.clock_ahead = clock_ahead(response.headers.get("Date"), time.time())
                # In pieces, so that a small packed reply cannot become a large one in memory.
                body: bytes = response.raw.read(REPLY_LIMIT + 1, decode_content=True)
                if len(body) > REPLY_LIMIT:
                    return Trouble(
                        Reason.PROTOCOL,
                        f"{self.host} answered with more than {REPLY_LIMIT // 1024} KiB; ThreadFix needs less than 1.",
                    )
                return self._read(response, body, read)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return self._failed(error)

    def _read(
        self,
        response: requests.Response,
        body: bytes,
        read: Callable[[replies.Envelope, float | None], T | Trouble],
    ) -> T | Trouble:
        code = response.status_code
        reply, flaw = None, ""
        try:
            reply = replies.envelope(body)
        except replies.NotThreadFixError as error:
            flaw = str(error)
        said = self._said(replies.words(reply.message)) if reply and not reply.success else ""
        answered = f"{self.host} answered HTTP {code}{said}"
        wait = retry_after(response.headers.get("Retry-After"), time.time())
        if code in REDIRECTS:
            where = self._scrub.clean(response.headers.get("Location", "nowhere"), 200)
            to_https = where.lower().startswith("https:") and self._server.url.startswith("http:")
            return Trouble(
                Reason.PROTOCOL,
                f"{self.host} answered HTTP {code}, a redirect to {where}, which the gate does not follow.",
                HTTPS_HINT if to_https else CONTEXT_HINT,
                retry_after=wait,
            )
        refusal = _refusal(code, said)
        if refusal:
            reason, final = refusal
            hint = (
                "The proxy in between wants a login; put it into HTTPS_PROXY, as http://user:password@proxy:port."
                if code == PROXY_LOGIN
                else None
            )
            return Trouble(reason, f"{answered}.", hint, final, wait)
        return read(reply, wait) if reply else self._not_threadfix(body, flaw, wait)

    def _answer(self, reply: replies.Envelope, target: Target, wait: float | None) -> Observation:
        try:
            scan = replies.pending_scan(reply)
        except replies.NotThreadFixError as error:
            what = f"{self.host} answered without a pending scan: {self._scrub.clean(str(error))}."
            return Trouble(Reason.PROTOCOL, what, retry_after=wait)
        if scan.app_id != target.application_id:
            return self._about_another(scan.app_id, target.application_id)

        def clean(value: object) -> str | None:
            return self._scrub.clean(found) or None if (found := replies.words(value)) else None

        status = self._scrub.clean(scan.status, STATUS_LIMIT)
        if status != scan.status.strip():
            # What is decided must be what was said: cleaning must not make a success of something else.
            what = f"{self.host} answered with a status that is no plain word: {status}."
            return Trouble(Reason.PROTOCOL, what, retry_after=wait)
        return Answer(
            status=status,
            error=scan.error,
            error_message=clean(scan.error_message),
            scan_id=replies.identity(scan.scan_id),
            name=clean(scan.name),
            message=clean(scan.scan_message) or clean(reply.message),
        )

    def _about_another(self, found: int, asked: int) -> Trouble:
        return Trouble(
            Reason.PROTOCOL,
            f"{self.host} answered for application {found}, but application {asked} was asked for.",
            "Check --application-id and --status-path.",
            final=True,
        )

    def _not_threadfix(self, body: bytes, flaw: str, wait: float | None) -> Trouble:
        if body.lstrip()[:1] == b"<":
            found = _PAGE_TITLE.search(body[:20_000])
            title = f" (“{self._scrub.clean(found[1].decode('utf-8', 'replace'), 80)}”)" if found else ""
            what = f"{self.host} answered with a web page{title} instead of JSON."
            return Trouble(Reason.PROTOCOL, what, CONTEXT_HINT, retry_after=wait)
        what = f"{self.host} answered, but not as ThreadFix does: {self._scrub.clean(flaw)}."
        return Trouble(Reason.PROTOCOL, what, retry_after=wait)

    def _said(self, message: str | None) -> str:
        return f" and says: {self._scrub.clean(message).rstrip('.')}" if message else " and refuses without a word"

    def _failed(self, error: BaseException) -> Trouble:
        """Trouble on the way. The error's own text may hold a proxy's password, so only its kind is told."""
        chain = list(_causes(error))
        for cause in chain:
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = self._scrub.clean(cause.verify_message)
                return Trouble(
                    Reason.UNREACHABLE,
                    f"the certificate of {self.host} does not verify: {why}.",
                    _CERTIFICATE_HINTS.get(cause.verify_code, PRIVATE_CA_HINT),
                    final=True,
                )
        for kind, what, hint in _FAILURES:
            if any(isinstance(cause, kind) for cause in chain):
                return Trouble(Reason.UNREACHABLE, what.format(host=self.host), hint)
        return Trouble(Reason.UNREACHABLE, f"the connection to {self.host} broke ({type(error).__name__}).")


def _refusal(code: int, said: str) -> tuple[Reason, bool] | None:
    """The reason in an HTTP status and in what a `success: false` says, and whether it is final; None for a good one.

    A refusal that speaks of the key is one whatever its HTTP status; only with 5xx and their like it may be a passing
    fit of the server.
    """
    if code in TEMPORARY:
        return Reason.UNREACHABLE, False
    speaks = (_NAMES_KEY if code in NOT_FOUND else _SPEAKS_OF_KEY).search(_QUOTED.sub("", said))
    if code in DENIED or speaks:
        return Reason.DENIED, True
    if code in NOT_FOUND:
        return Reason.NOT_FOUND, False
    if code not in HTTP_OK:
        return Reason.PROTOCOL, code in CLIENT_ERRORS
    return (Reason.NOT_FOUND, False) if said else None


# The first that is in the chain of causes tells most.
_FAILURES: Final[tuple[tuple[type[BaseException], str, str | None], ...]] = (
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
        "Check that it speaks https on this port, and a TLS version of this decade.",
    ),
    (ConnectionResetError, "{host} broke the connection.", BROKEN_HINT),
    (urllib3.exceptions.DecodeError, "{host} answered with a body that cannot be unpacked.", None),
    (urllib3.exceptions.TimeoutError, "{host} did not answer in time.", None),
    (urllib3.exceptions.ProtocolError, "{host} broke the connection.", BROKEN_HINT),
)


# By OpenSSL's codes of what is wrong with a certificate.
_NOT_FOR_THIS_HOST: Final = (
    "Write the host in --url as it is in the certificate; if that is right already, ask whoever runs ThreadFix for a "
    "certificate with this name in it."
)
_CERTIFICATE_HINTS: Final = {
    9: "Check this machine's clock; if it is right, ask whoever runs ThreadFix for a certificate that is valid now.",
    10: "Ask whoever runs ThreadFix to renew the certificate; and check this machine's clock.",
    62: _NOT_FOR_THIS_HOST,
    64: _NOT_FOR_THIS_HOST,
}


def clock_ahead(value: str | None, now: float) -> float | None:
    """Seconds by which a `Date` header is ahead of `now`; None where it cannot be read."""
    try:
        return parsedate_to_datetime(value).timestamp() - now if value else None
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


def _session(server: Server, connections: int) -> requests.Session:
    session = requests.Session()
    # Off: `.netrc`, and trust stores and proxies from the environment; the last two are read below, on our terms.
    session.trust_env = False
    session.auth = _KeyAuth(server.api_key)
    # `Accept` is not a courtesy: without it ThreadFix does not find the call. Replies are too small to be packed.
    session.headers.update(
        {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"threadfix-gate/{__version__}"}
    )
    session.cookies = _NoCookies()
    if not is_loopback(server.url):
        session.proxies.update(get_environ_proxies(server.url))
    adapter = _Adapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    _trust(session, server)
    return session


class _NoCookies(RequestsCookieJar):
    """Keeps no cookie: the key is all the identity there is, and threads share the session."""

    def extract_cookies(self, *_: object) -> None:
        """Leave them."""


def _trust(session: requests.Session, server: Server) -> None:
    """Set the trust store and the client certificate."""
    if server.insecure:
        session.verify = False
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    else:
        session.verify = server.ca_file or DEFAULT_CA_BUNDLE_PATH
    if server.client_cert:
        session.cert = (server.client_cert, server.client_key) if server.client_key else server.client_cert
