"""Connects to ThreadFix step by step, and keeps the responses. It returns data; the sentences are in `checks`."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from gate.model.history import Application, Failure, ScanReading
from gate.model.reasons import Reason
from gate.model.subjects import ApplicationName, Target
from gate.threadfix.api import NOT_FOUND

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gate.model.history import CheckReading, Observation
    from gate.model.subjects import Check
    from gate.net.connections import Exchange
    from gate.net.http import RequestMade
    from gate.options.settings import Settings
    from gate.threadfix.client import Client
    from gate.threadfix.links import Server

T = TypeVar("T")

UNUSED_ID: Final = 999_999_999
"""An id that no application and no pending scan has. It fits into 32 bits, as ThreadFix's ids do."""
_FROM_THREADFIX: Final = (Reason.DENIED, Reason.NOT_FOUND)
"""Failures that ThreadFix itself may have reported. After any other failure, further requests would fail too."""


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """A TCP connection that was accepted.

    Attributes:
        socket: the open connection.
        address: IP address of the server.
        port: TCP port of the server.
        milliseconds: time to connect, including the DNS lookup.
    """

    socket: socket.socket
    address: str
    port: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Handshake:
    """A TLS handshake that was completed, or that failed only because of the server's certificate.

    Attributes:
        version: such as `TLSv1.3`; None if the handshake failed.
        certificate: the verified certificate, as `ssl.SSLSocket.getpeercert` returns it; empty if it was not verified.
        distrust: the failure if the certificate does not verify; otherwise None.
    """

    version: str | None = None
    certificate: dict[str, Any] = field(default_factory=dict)
    distrust: Failure | None = None


@dataclass(frozen=True, slots=True)
class ScanResponse:
    """The response for a pending scan.

    Attributes:
        target: the application and the pending scan that were requested.
        observation: the reading or the failure.
        request: HTTP status, duration, and the server's clock.
    """

    target: Target
    observation: Observation
    request: RequestMade


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses of ThreadFix.

    Attributes:
        scans: a response for each pending scan of the options; without any, a response for `UNUSED_ID`. Never empty.
        application_id: the application of the options; None if there is none, or if the look-up failed.
        application: the application or the failure; None if it was not requested.
        application_name: the names for the look-up; None if the options have its id.
        scan_specified: whether the options have a pending scan.
    """

    scans: tuple[ScanResponse, ...]
    application_id: int | None = None
    application: Application | Failure | None = None
    application_name: ApplicationName | None = None
    scan_specified: bool = True

    @property
    def main(self) -> ScanResponse:
        """The most informative response: the first reading, otherwise the first response."""
        return next((scan for scan in self.scans if isinstance(scan.observation, ScanReading)), self.scans[0])

    @property
    def failure(self) -> Failure | None:
        """The first failure if no pending scan could be read; otherwise None."""
        observation = self.main.observation
        return None if isinstance(observation, ScanReading) else observation

    @property
    def reason(self) -> Reason | None:
        """The reason of that failure."""
        return self.failure.reason if self.failure else None

    @property
    def key_accepted_for_application(self) -> bool:
        """Whether ThreadFix returned the application, or reported that it does not exist: both need a valid key."""
        return isinstance(self.application, Application) or self.application_missing

    @property
    def application_missing(self) -> bool:
        """Whether ThreadFix itself reported that the application does not exist; an HTTP 404 may be about the path."""
        return (
            isinstance(self.application, Failure)
            and self.application.reason is Reason.NOT_FOUND
            and self.application.http_status not in NOT_FOUND
        )


class Connection:
    """The connection to ThreadFix, step by step.

    Each step takes at most the time of one request, `--request-timeout`.

    Args:
        settings: the server, the time of a request, the application and the pending scans.
        client: sends the requests.
        requests: the list to which the client's `trace` appends every request.

    Attributes:
        server: the server, and the way to connect to it.
        proxy: host and port of the proxy; None without a proxy.
        tcp: the result of `connect`; None before it, and with a proxy.
        handshake: the result of `start_tls`; None before it, without https, and with a proxy.
    """

    def __init__(self, settings: Settings, client: Client, requests: list[RequestMade]) -> None:
        """Keep the arguments; send nothing."""
        self.server: Server = settings.server
        self.proxy: str | None = client.http.proxy
        self.tcp: TcpConnection | None = None
        self.handshake: Handshake | None = None
        self._settings = settings
        self._client = client
        self._requests = requests
        self._timeout = settings.plan.request_timeout
        self._socket: socket.socket | None = None

    @property
    def host(self) -> str:
        """The host name or IP address of the URL."""
        return urlsplit(self.server.url).hostname or ""

    @property
    def port(self) -> int:
        """The TCP port, which the URL may leave out."""
        return urlsplit(self.server.url).port or (443 if self.secure else 80)

    @property
    def secure(self) -> bool:
        """Whether the URL is https."""
        return self.server.url.startswith("https:")

    @property
    def trust_store(self) -> str:
        """The origin of the trusted certificates, and their number if it is known."""
        return self._client.http.tls.trust_store

    @property
    def host_is_address(self) -> bool:
        """Whether the host is an IP address, which needs no DNS lookup."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    def look_up(self) -> tuple[str, ...] | Failure:
        """Look the host up in DNS, and return its IP addresses."""
        records = self._probe(lambda _: socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
        return (
            records if isinstance(records, Failure) else tuple(dict.fromkeys(str(record[4][0]) for record in records))
        )

    def connect(self) -> TcpConnection | Failure:
        """Open a TCP connection, which is not used for a request."""

        def connect(exchange: Exchange) -> socket.socket:
            # Longer than the time limit of the whole step, whose error has the better sentence.
            connection = socket.create_connection((self.host, self.port), self._timeout * 2)
            exchange.track_socket(connection)
            return connection

        began = time.monotonic()
        connection = self._probe(connect)
        if isinstance(connection, Failure):
            return connection
        self._socket = connection
        address, port = connection.getpeername()[:2]
        self.tcp = TcpConnection(connection, address, port, (time.monotonic() - began) * 1000)
        return self.tcp

    def start_tls(self, tcp: TcpConnection) -> Handshake | Failure:
        """Make the TLS handshake on an open connection. A certificate that does not verify is a `Handshake` too."""

        def shake_hands(exchange: Exchange) -> ssl.SSLSocket:
            exchange.track_socket(tcp.socket)
            return self._client.http.tls.server.wrap_socket(tcp.socket, server_hostname=self.host.rstrip("."))

        connection = self._probe(shake_hands)
        if isinstance(connection, Failure):
            # Only a failure of the certificate is final; then the server does support TLS.
            self.handshake = Handshake(distrust=connection) if connection.final else None
            return self.handshake or connection
        self._socket = connection
        self.handshake = Handshake(connection.version(), connection.getpeercert() or {})
        return self.handshake

    @cached_property
    def responses(self) -> Responses:
        """Request the pending scans, and the application if ThreadFix may have looked for one. Requested once.

        An application without an id is looked up first, because the other requests need the id.
        """
        settings, subject = self._settings, self._settings.application
        name = subject if isinstance(subject, ApplicationName) else None
        application = self._client.look_up(name, self._timeout) if name else None
        application_id = application.id if isinstance(application, Application) else settings.application_id
        targets = [Target(application_id, number) for number in settings.pending_scan_ids] if application_id else []
        scans: list[ScanResponse] = []
        for target in targets or (Target(application_id or UNUSED_ID, UNUSED_ID),):
            observation = self._client.observe(target, self._timeout)
            scans.append(ScanResponse(target, observation, self._requests[-1]))
            if isinstance(observation, Failure) and observation.reason not in _FROM_THREADFIX:
                break
        specified = bool(settings.pending_scan_ids)
        responses = Responses(tuple(scans), application_id, application, name, specified)
        if name or application_id is None or (responses.reason and responses.reason not in _FROM_THREADFIX):
            return responses
        return replace(responses, application=self._client.application(application_id, self._timeout))

    @property
    def checks(self) -> tuple[Check, ...]:
        """The rules to evaluate after the wait."""
        return self._settings.checks

    def evaluate(self, check: Check) -> CheckReading | Failure | None:
        """Evaluate a check by GET; None if no application is known."""
        from gate.threadfix.policies import Asker

        application_id = self.responses.application_id
        return None if application_id is None else Asker(self._client.api, check, application_id)(self._timeout)

    def close(self) -> None:
        """Close the connections."""
        if self._socket:
            self._socket.close()
        self._client.http.close()

    def _probe(self, work: Callable[[Exchange], T]) -> T | Failure:
        """Run `work` on the network, within the time of a request."""
        return self._client.http.probe(work, self._timeout)
