"""The server, and the way to connect to it: its proxy, the certificates to trust, and the certificate to show."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from gate.model.reasons import InvalidOption
from gate.text.wording import count, quoted

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gate.text.sanitizer import Secret
    from gate.text.wording import Naming

BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL, Amazon Linux
    "/etc/pki/tls/certs/ca-bundle.crt",  # their older versions
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # the BSDs
    "/usr/local/share/certs/ca-root-nss.crt",  # older FreeBSD
)
"""The files of the distributions, for a Python whose OpenSSL was built for another distribution."""
_NO_FILE: Final = "there is no such file"
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class Certificates(NamedTuple):
    """Certificates that replace the default trust store."""

    origin: str  # the option or the variable, as messages name it
    path: str  # of a PEM file or of a folder with hashed names; `SSL_CERT_DIR` may name several folders

    def __str__(self) -> str:
        return f"{self.origin} {self.path}"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, and how to connect to it."""

    url: str  # base URL in normal form; empty if it is not valid
    api_key: Secret
    ca_file: tuple[Certificates, ...] = ()  # the trust store; empty for the default
    client_cert: str | None = None  # path of the client certificate
    client_key: str | None = None  # path of the certificate's key; None if the certificate's file contains it
    insecure: bool = False  # whether to skip the verification of the server's certificate


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


def _flaw_of_proxy(proxy: str) -> str:
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


def load_trust_store(
    context: ssl.SSLContext,
    chosen: Sequence[Certificates],
    *,
    bundles: Iterable[str] = BUNDLES,
    system: str = sys.platform,
) -> str:
    """Load the trusted certificates into `context`; return their origin, and their number if OpenSSL has read them.

    The `chosen` certificates replace the default trust store. `system` is a value of `sys.platform`.
    """
    import ssl

    # As for curl, an intermediate authority in the store is enough, and certificates may lack key identifiers.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    for certificates in chosen:
        _load(context, certificates.path)
    origin = ", ".join(map(str, chosen)) or _load_default(context, bundles, system)
    number = context.cert_store_stats()["x509"]
    return f"{origin}; {count(number, 'certificate')}" if number else origin


def _load_default(context: ssl.SSLContext, bundles: Iterable[str], system: str) -> str:
    if system == "win32":
        context.load_default_certs()
    elif system != "darwin":
        import ssl

        # Not `set_default_verify_paths`: for OpenSSL an empty variable is a path.
        paths = ssl.get_default_verify_paths()
        file = next((path for path in (paths.openssl_cafile, *bundles) if _load(context, path)), None)
        folder = paths.openssl_capath if _load(context, paths.openssl_capath) else None
        if loaded := list(filter(None, (file, folder))):
            return f"the operating system's ({', '.join(loaded)})"
    import certifi

    context.load_verify_locations(cadata=certifi.contents())
    return "the operating system's and certifi's" if system == "win32" else "certifi's"


def _load(context: ssl.SSLContext, path: str) -> bool:
    """Trust the certificates of a file or a folder; return whether there are any."""
    try:
        # OpenSSL would wait for a pipe.
        if Path(path).is_file():
            context.load_verify_locations(cafile=path)
            return bool(context.cert_store_stats()["x509"])
        if not any(_is_certificate(file) for folder in path.split(os.pathsep) for file in _hashed(folder)):
            return False
        context.load_verify_locations(capath=path)
    except (OSError, ValueError):
        return False
    return True


def _hashed(folder: str) -> Iterable[str]:
    names = os.listdir(folder) if Path(folder).is_dir() else []  # noqa: PTH208 - a folder may have many
    return (f"{folder}/{name}" for name in names if _HASHED.fullmatch(name))


def _is_certificate(file: str) -> bool:
    import ssl

    return Path(file).is_file() and _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), file)


def unusable_options(server: Peer, naming: Naming, env: Mapping[str, str]) -> Iterator[InvalidOption]:
    """Yield each option whose file cannot be used, and the proxy if it cannot be used."""
    if not server.insecure and not server.url.startswith("http:"):
        for origin, path in server.ca_file:
            if flaw := _flaw_of_store(path):
                yield InvalidOption("--ca-file", f"{origin}: {quoted(path)} {flaw}.")
    if server.client_cert and (flaw := _flaw_of_pair(server.client_cert, server.client_key or server.client_cert)):
        names = ", ".join((naming.option("client-cert"), naming.option("client-key")))
        yield InvalidOption("--client-cert", f"{names}: {flaw}.")
    named = {name: value for name, value in env.items() if name.lower().endswith("_proxy") and value}
    if named and server.url and not is_loopback(server.url):
        import requests

        proxy = requests.utils.select_proxy(server.url, requests.utils.get_environ_proxies(server.url))
        if proxy and (flaw := _flaw_of_proxy(proxy)):
            # On Windows and macOS the proxy may be one of the system's settings. Its value may hold a password.
            origin = next((name for name, value in named.items() if value == proxy), "the proxy of this system")
            what = f"{origin} {flaw} (not shown); write http://proxy:port or http://user:password@proxy:port."
            yield InvalidOption(None, what)


def _flaw_of_store(path: str) -> str:
    import ssl

    if _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path):
        return ""
    if os.path.isfile(path):  # noqa: PTH113 - it may be in a folder that cannot be searched
        return "has no certificates that can be read; it must be PEM, with -----BEGIN CERTIFICATE----- lines"
    if os.path.isdir(path):  # noqa: PTH112
        return "has no certificates under their hashes; run openssl rehash, or name a file"
    return f"cannot be read ({_NO_FILE})"


def _flaw_of_pair(certificate: str, key: str) -> str:
    import ssl

    for path in (certificate, key):
        # OpenSSL would wait for a pipe.
        if not os.path.isfile(path):  # noqa: PTH113
            return f"{quoted(path)} cannot be read ({_NO_FILE})"
    try:
        # Without a password function OpenSSL would ask at the terminal, and a build would hang.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError):
        return "the certificate and key cannot be read or do not match; both must be PEM, and the key unencrypted"
    return ""
