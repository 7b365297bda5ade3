"""The server, and the way to connect to it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gate.model.errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.text.sanitizer import Secret


class Certificates(NamedTuple):
    """Certificates that replace the default trust store."""

    origin: str  # the option or the variable, as messages name it
    path: str  # of a PEM file or of a folder with hashed names; `SSL_CERT_DIR` may name several folders

    def __str__(self) -> str:
        return f"{self.origin} {self.path}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, and how to connect to it."""

    url: str
    """Base URL in normal form; empty if it is not valid."""
    api_key: Secret
    ca_file: tuple[Certificates, ...] = ()
    """The trust store; empty for the default."""
    client_cert: str | None = None
    """Path of the client certificate."""
    client_key: str | None = None
    """Path of the certificate's key; None if the certificate's file contains it."""
    insecure: bool = False
    """Whether to skip the verification of the server's certificate."""


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine: `localhost`, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    # A subdomain of `localhost` may be looked up in DNS.
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unusable_proxy(url: str, env: Mapping[str, str]) -> tuple[InvalidOption, ...]:
    """Return an invalid option if the proxy for `url` cannot be used, without its value: it may hold a password."""
    named = {name: value for name, value in env.items() if name.lower().endswith("_proxy") and value}
    if not named or not url or is_loopback(url):
        return ()
    from gate.net.libraries import requests

    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    flaw = _flaw(proxy) if proxy else ""
    if not flaw:
        return ()
    # On Windows and macOS the proxy may be one of the system's settings.
    origin = next((name for name, value in named.items() if value == proxy), "the proxy of this system")
    what = f"{origin} {flaw} (not shown); write http://proxy:port or http://user:password@proxy:port."
    return (InvalidOption(None, what),)


def _flaw(proxy: str) -> str:
    """Return the reason why the URL of a proxy cannot be used; empty if it can."""
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    try:
        # `requests` takes a URL without a scheme for http.
        url = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    except LocationParseError:
        return "is not the URL of a proxy"
    if not url.host:
        return "names no host"
    if url.scheme in {"socks4", "socks4a", "socks5", "socks5h"}:
        return "names a SOCKS proxy, which the gate does not support"
    return "" if url.scheme in {"http", "https"} else "is not the URL of an http proxy"
