"""The connection to ThreadFix, made step by step, and what was received over it. Data only; `checks` has the words."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from gate.history import Application, Failure, ScanReading
from gate.reasons import Reason
from gate.subjects import ApplicationName, Target
from gate.threadfix.api import NOT_FOUND

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from gate.connections import Exchange
    from gate.history import CheckReading, Observation
    from gate.http import RequestMade
    from gate.settings import Settings
    from gate.subjects import Check
    from gate.threadfix.client import Client
    from gate.threadfix.server import Server

T = TypeVar("T")

UNUSED_ID: Final = 999_999_999
"""An id that no application and no pending scan has. Not the largest possible one: a ThreadFix that keeps ids in 32
bits would not read that as a number."""
_FROM_THREADFIX: Final = (Reason.DENIED, Reason.NOT_FOUND)
"""Failures that ThreadFix itself may have reported; after any other one, further requests would fail as well."""


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """A TCP connection that was accepted.

    Attributes:
        socket: the open connection.
        address: IP address of the server.
        port: TCP port of the server.
        milliseconds: time to connect, DNS lookup included.
    """

    socket: socket.socket
    address: str
    port: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Handshake:
    """A TLS handshake that completed, or that only the server's certificate ended.

    Attributes:
        version: such as `TLSv1.3`; None where the certificate ended the handshake.
        certificate: the verified one, as `ssl.SSLSocket.getpeercert` returns it; empty where none was verified.
        distrust: why the certificate does not verify; None where it does, or where `--insecure` skips that.
    """

    version: str | None = None
    certificate: dict[str, Any] = field(default_factory=dict)
    distrust: Failure | None = None


@dataclass(frozen=True, slots=True)
class ScanResponse:
    """What was received for one pending scan.

    Attributes:
        target: the application and the pending scan that were requested.
        observation: the reading, or the failure in its place.
        request: the request: HTTP status, duration, the server's clock.
    """

    target: Target
    observation: Observation
    request: RequestMade


@dataclass(frozen=True, slots=True)
class Responses:
    """What was received over the connection.

    Attributes:
        scans: one for each pending scan that was specified; one for `UNUSED_ID` where none was. Never empty.
        application_id: the application that was specified; None where none was, or none was found by its names.
        application: it, or the failure in its place; None where it was not requested.
        application_name: the names by which it was looked up; None where it goes by its id.
        scan_specified: whether a pending scan was specified.
    """

    scans: tuple[ScanResponse, ...]
    application_id: int | None = None
    application: Application | Failure | None = None
    application_name: ApplicationName | None = None
    scan_specified: bool = True

    @property
    def main(self) -> ScanResponse:
        """The most informative one: the first reading, else the first response."""
        return next((scan for scan in self.scans if isinstance(scan.observation, ScanReading)), self.scans[0])

    @property
    def failure(self) -> Failure | None:
        """The first failure, where no pending scan could be read; else None."""
        observation = self.main.observation
        return None if isinstance(observation, ScanReading) else observation

    @property
    def reason(self) -> Reason | None:
        """The reason of that failure."""
        return self.failure.reason if self.failure else None

    @property
    def key_accepted_for_application(self) -> bool:
        """Whether ThreadFix returned the application, or reported that it does not exist: either takes a valid key."""
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
    """The connection to ThreadFix, as far as it has been made.

    Each step takes at most the time of one request, `--request-timeout`.

    Args:
        settings: the server, the time of a request, the application and the pending scans.
        client: sends the requests.
        requests: the list to which the client's `trace` appends every request.

    Attributes:
        server: which server, and how to talk to it.
        proxy: host and port of the proxy that requests go through; None without one.
        tcp: what `connect` returned; None before, and through a proxy.
        handshake: what `start_tls` returned; None before, without https, and through a proxy.
    """

    def __init__(self, settings: Settings, client: Client, requests: list[RequestMade]) -> None:
        """Nothing is sent yet."""
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
        """The TCP port, also where the URL leaves it out."""
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
        """The host's IP addresses from DNS, each once."""
        records = self._probe(lambda _: socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
        return (
            records if isinstance(records, Failure) else tuple(dict.fromkeys(str(record[4][0]) for record in records))
        )

    def connect(self) -> TcpConnection | Failure:
        """Open a TCP connection, on which no request will be sent."""

        def connect(exchange: Exchange) -> socket.socket:
            # Longer than the time limit of the whole step: that one's error has the better words.
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
        """Make the TLS handshake on an open connection; a certificate that does not verify is a `Handshake` too."""

        def shake_hands(exchange: Exchange) -> ssl.SSLSocket:
            exchange.track_socket(tcp.socket)
            return self._client.http.tls.server.wrap_socket(tcp.socket, server_hostname=self.host.rstrip("."))

        connection = self._probe(shake_hands)
        if isinstance(connection, Failure):
            # Final is only what the certificate causes; then the server does speak TLS.
            self.handshake = Handshake(distrust=connection) if connection.final else None
            return self.handshake or connection
        self._socket = connection
        self.handshake = Handshake(connection.version(), connection.getpeercert() or {})
        return self.handshake

    @cached_property
    def responses(self) -> Responses:
        """Request the pending scans, and the application if ThreadFix may have looked for one. Sent once.

        An application that goes by its names is looked up first: the others need its id.
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
        """What is to be asked after the wait."""
        return self._settings.checks

    def evaluate(self, check: Check) -> CheckReading | Failure | None:
        """Ask about a check, by GET; None where no application is known."""
        from gate.threadfix.policies import Asker

        application_id = self.responses.application_id
        return None if application_id is None else Asker(self._client.api, check, application_id)(self._timeout)

    def close(self) -> None:
        """Close the connections."""
        if self._socket:
            self._socket.close()
        self._client.http.close()

    def _probe(self, work: Callable[[Exchange], T]) -> T | Failure:
        """Do something on the network, within the time of a request."""
        return self._client.http.probe(work, self._timeout)
