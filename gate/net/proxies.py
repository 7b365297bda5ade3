"""Checks the proxy of the environment before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gate.model.errors import InvalidOption
from gate.net.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gate.threadfix.links import Server

_SCHEMES: Final = ("http", "https")
_SOCKS: Final = ("socks4", "socks4a", "socks5", "socks5h")


def unusable(server: Server, env: Mapping[str, str]) -> tuple[InvalidOption, ...]:
    """Return an invalid option if the proxy for `server` cannot be used, without its value: it may hold a password."""
    named = {name: value for name, value in env.items() if name.lower().endswith("_proxy") and value}
    if not named or not server.url or is_loopback(server.url):
        return ()
    from gate.net.libraries import requests

    proxy = requests.utils.select_proxy(server.url, requests.utils.get_environ_proxies(server.url))
    if not proxy:
        return ()
    # On Windows and macOS it may come from the system's settings.
    origin = next((name for name, value in named.items() if value == proxy), "the proxy of this system")
    flaw = _flaw(proxy)
    if not flaw:
        return ()
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
    if url.scheme in _SOCKS:
        return "names a SOCKS proxy, which the gate does not support"
    return "" if url.scheme in _SCHEMES else "is not the URL of an http proxy"
