"""What a URL or a path means to the network: this machine or another one, a file of certificates or a folder."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit


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


def locations(trust_store: str) -> tuple[str | None, str | None]:
    """A trust store as `ssl` takes it, file or folder; a folder is one of certificates under their hashes."""
    return (None, trust_store) if Path(trust_store).is_dir() else (trust_store, None)
