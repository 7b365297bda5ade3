"""Turns the errors of the network and of its libraries into failures, with a sentence and advice."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final

import urllib3

from gate.model.advice import FailureKind
from gate.model.errors import OutOfThreadsError
from gate.model.history import Failure
from gate.model.reasons import Reason
from gate.net.framing import MalformedError
from gate.net.libraries import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gate.text.sanitizer import Sanitizer

PRIVATE_CA_HINT: Final = (
    "If your company signs its own certificates, add them to this machine's trust store, or name them with {--ca-file} "
    "or SSL_CERT_FILE; otherwise ask your ThreadFix administrator to renew the certificate."
)
BROKEN_HINT: Final = (
    "Check that {--url} is the URL of ThreadFix, with https:// if its port uses TLS; then run the gate again."
)
MACHINE_HINT: Final = "Raise the limit (ulimit -n, ulimit -u), or wait for fewer scans in one run."

# The errors of a request. The libraries raise ValueError and HTTPException for bytes that they cannot read; that is the
# server's failure, not a bug.
BROKEN: Final = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError, OutOfThreadsError)

_EXHAUSTED: Final = {
    errno.EMFILE: "{host} was not asked: this process has no file descriptors left.",
    errno.ENFILE: "{host} was not asked: this machine has no file descriptors left.",
}

# The first row that matches an error in the chain of causes counts.
_FAILURES: Final[tuple[tuple[type[BaseException], str, str | None], ...]] = (
    (OutOfThreadsError, "{host} was not asked: this machine lets the gate start no more threads.", MACHINE_HINT),
    (
        requests.exceptions.InvalidSchema,
        "{host} was not asked: the proxy speaks SOCKS, which the gate does not support.",
        "Name an http proxy in HTTPS_PROXY, or put the host into NO_PROXY.",
    ),
    (
        urllib3.exceptions.ProxyError,
        "the proxy to {host} refused the connection.",
        "Check HTTPS_PROXY, and put hosts that need no proxy into NO_PROXY.",
    ),
    (
        socket.gaierror,
        "DNS lookup of {host} failed.",
        "Check the host in {--url}, and that this machine can resolve names of your network; then run the gate again.",
    ),
    (
        ConnectionRefusedError,
        "{host} refused the connection.",
        "Check the port in {--url}, and that ThreadFix is running; then run the gate again.",
    ),
    (
        ssl.SSLError,
        "TLS with {host} fails.",
        "Check that it speaks https on this port, and TLS 1.2 or later.",
    ),
    (MalformedError, "the response of {host} {why}.", BROKEN_HINT),
    (ConnectionResetError, "{host} closed the connection.", BROKEN_HINT),
    (urllib3.exceptions.TimeoutError, "{host} did not respond in time.", None),
    (urllib3.exceptions.ProtocolError, "{host} closed the connection.", BROKEN_HINT),
)


# By OpenSSL's error codes for certificates.
_NOT_FOR_THIS_HOST: Final = (
    "Write the host in {--url} as it is in the certificate; if that is right already, ask your ThreadFix administrator "
    "for a certificate with this name in it."
)
_CERTIFICATE_HINTS: Final = {
    9: "Check this machine's clock; if it is right, ask your ThreadFix administrator for a certificate that is valid "
    "now.",
    10: "Ask your ThreadFix administrator to renew the certificate; and check this machine's clock.",
    62: _NOT_FOR_THIS_HOST,
    64: _NOT_FOR_THIS_HOST,
}


def failure_of(error: BaseException, host: str, sanitizer: Sanitizer) -> Failure:
    """Return the failure of a request to `host`.

    An error's text may contain a proxy's password, so only its kind is used.
    """
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = sanitizer.sanitize(cause.verify_message).rstrip(".")
            return Failure(
                Reason.UNREACHABLE,
                f"the certificate of {host} does not verify: {why}.",
                _CERTIFICATE_HINTS.get(cause.verify_code, PRIVATE_CA_HINT),
                final=True,
                kind=FailureKind.CERTIFICATE,
            )
        if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
            return Failure(Reason.UNREACHABLE, _EXHAUSTED[cause.errno].format(host=host), MACHINE_HINT)
    for kind, what, hint in _FAILURES:
        for cause in chain:
            if isinstance(cause, kind):
                return Failure(Reason.UNREACHABLE, what.format(host=host, why=cause), hint)
    return Failure(Reason.UNREACHABLE, f"the connection to {host} broke ({type(error).__name__}).")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error with all of its causes, contexts and reasons."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
            yield one
