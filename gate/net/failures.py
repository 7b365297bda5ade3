"""Turns the errors of the network and of its libraries into failures."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
from typing import TYPE_CHECKING, Final

import requests
import urllib3

from gate.model.advice import FailureKind
from gate.model.history import Failure
from gate.model.reasons import OutOfThreadsError, Reason
from gate.net.framing import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gate.text.sanitizer import Sanitizer

WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""Errors of a socket that does not wait."""

# The errors of a request. The libraries raise ValueError and HTTPException for bytes that they cannot read; that is the
# server's failure, not a bug.
BROKEN: Final = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError, OutOfThreadsError)

_EXHAUSTED: Final = {
    errno.EMFILE: "{host} was not asked: this process has no file descriptors left.",
    errno.ENFILE: "{host} was not asked: this machine has no file descriptors left.",
}

# The first row that matches an error in the chain of causes counts.
_FAILURES: Final[tuple[tuple[type[BaseException], FailureKind, str], ...]] = (
    (OutOfThreadsError, FailureKind.LIMIT, "{host} was not asked: this machine lets the gate start no more threads."),
    (
        requests.exceptions.InvalidSchema,
        FailureKind.SOCKS,
        "{host} was not asked: the proxy speaks SOCKS, which the gate does not support.",
    ),
    (urllib3.exceptions.ProxyError, FailureKind.PROXY, "the proxy {proxy} to {host} {why}."),
    (socket.gaierror, FailureKind.DNS, "DNS lookup of {host} failed."),
    (ConnectionRefusedError, FailureKind.REFUSED, "{host} refused the connection."),
    (ssl.SSLError, FailureKind.TLS, "TLS with {host} fails."),
    (MalformedError, FailureKind.MALFORMED, "the response of {host} {why}."),
    (ConnectionResetError, FailureKind.RESET, "{host} closed the connection{through}."),
    (urllib3.exceptions.TimeoutError, FailureKind.STALLED, "{host} did not respond in time."),
    (urllib3.exceptions.ProtocolError, FailureKind.RESET, "{host} closed the connection{through}."),
)
_PROXY_ERRORS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (socket.gaierror, "has no address in DNS"),
    (ConnectionRefusedError, "accepts no connection"),
    (ssl.SSLError, "speaks no TLS"),
)
PROXY_LOGIN: Final = 407
_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
# By OpenSSL's error codes; any other error of a certificate is about its chain.
_CERTIFICATES: Final = {
    9: FailureKind.CERTIFICATE_NOT_YET_VALID,
    10: FailureKind.CERTIFICATE_EXPIRED,
    62: FailureKind.CERTIFICATE_NAME,
    64: FailureKind.CERTIFICATE_NAME,
}


def failure_of(error: BaseException, host: str, sanitizer: Sanitizer, proxy: str | None = None) -> Failure:
    """Return the failure of a request to `host`, through a proxy if there is one.

    An error's text may contain a proxy's password, so only its kind is used.
    """
    chain, through = list(_causes(error)), f", through the proxy {proxy}" if proxy else ""
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            # Both attributes are missing on some builds of Python.
            why = sanitizer.sanitize(getattr(cause, "verify_message", "") or "unknown reason").rstrip(".")
            what = f"the certificate of {host} does not verify: {why}."
            kind = _CERTIFICATES.get(getattr(cause, "verify_code", 0), FailureKind.CERTIFICATE)
            return Failure(Reason.UNREACHABLE, what, kind, final=True)
        if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
            return Failure(Reason.UNREACHABLE, _EXHAUSTED[cause.errno].format(host=host), FailureKind.LIMIT)
        # The standard library has no other sign of a tunnel that the proxy refused.
        if refused := _TUNNEL.match(str(cause)) if isinstance(cause, OSError) else None:
            code = int(refused[1])
            kind = FailureKind.PROXY_LOGIN if code == PROXY_LOGIN else FailureKind.PROXY_REFUSED
            what = f"the proxy {proxy} refused the connection to {host} with HTTP {code}."
            return Failure(Reason.UNREACHABLE, what, kind, final=code == PROXY_LOGIN, http_status=code)
    for error_type, kind, what in _FAILURES:
        for cause in chain:
            if isinstance(cause, error_type):
                why = _why(chain) if kind is FailureKind.PROXY else str(cause)
                return Failure(Reason.UNREACHABLE, what.format(host=host, proxy=proxy, through=through, why=why), kind)
    return Failure(Reason.UNREACHABLE, f"the connection to {host} broke ({type(error).__name__}).")


def _why(chain: Sequence[BaseException]) -> str:
    """Return why a proxy could not be reached."""
    return next(
        (why for kind, why in _PROXY_ERRORS if any(isinstance(cause, kind) for cause in chain)), "closed the connection"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error with all of its causes, contexts and reasons."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
            yield cause
