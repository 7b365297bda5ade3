"""The kinds of failure."""

from __future__ import annotations

from typing import Final

from gate.model.reasons import Word


class FailureKind(Word):
    """The kind of a failure, decided where it happens."""

    DNS = "dns"
    REFUSED = "refused"
    TLS = "tls"
    CERTIFICATE = "certificate"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NAME = "certificate-name"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    PROXY = "proxy"
    SOCKS = "socks"
    RESET = "reset"
    MALFORMED = "malformed"
    LIMIT = "limit"
    OTHER = "other"


CERTIFICATES: Final = frozenset(
    {
        FailureKind.CERTIFICATE,
        FailureKind.CERTIFICATE_NOT_YET_VALID,
        FailureKind.CERTIFICATE_EXPIRED,
        FailureKind.CERTIFICATE_NAME,
    }
)
"""The kinds in which the certificate does not verify."""
