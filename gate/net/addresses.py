"""Addresses of this machine, and certificates to trust: data only."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit


class Certificates(NamedTuple):
    """Certificates that replace the default trust store.

    Attributes:
        origin: the option or the variable, as messages name it.
        path: of a PEM file, or of a folder with certificates under their hashes; `SSL_CERT_DIR` may name several.
    """

    origin: str
    path: str

    def __str__(self) -> str:
        return f"{self.origin} {self.path}"


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine: `localhost`, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    # Not its subdomains: for those a name server may be asked.
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
