"""Whether the certificate files that were named can be used at all; tried before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gate.errors import InvalidOption
from gate.network import locations

if TYPE_CHECKING:
    from gate.naming import Naming
    from gate.threadfix.server import Server


def unusable(server: Server, naming: Naming) -> tuple[InvalidOption, ...]:
    """Each option whose file cannot be used."""
    if not (server.ca_file or server.client_cert):
        return ()
    import ssl

    invalid = []
    if server.ca_file and not server.insecure and not server.url.startswith("http:"):
        try:
            _refuse_pipes(server.ca_file)
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(*locations(server.ca_file))
        except (ssl.SSLError, OSError):
            name = naming.option("ca-file")
            what = (
                f"{name} (or REQUESTS_CA_BUNDLE, SSL_CERT_FILE): the file has no certificates that can be read; "
                "it must be PEM, with -----BEGIN CERTIFICATE----- lines."
            )
            invalid.append(InvalidOption("--ca-file", what))
    if server.client_cert:
        try:
            _refuse_pipes(server.client_cert, server.client_key or server.client_cert)
            # Without a password function OpenSSL would ask at the terminal, and a build would hang.
            ssl.create_default_context().load_cert_chain(server.client_cert, server.client_key, password=lambda: b"")
        except (ssl.SSLError, OSError, ValueError):
            names = ", ".join((naming.option("client-cert"), naming.option("client-key")))
            what = (
                f"{names}: they are no certificate and key that fit and can be read; both must be PEM, and the key not "
                "encrypted."
            )
            invalid.append(InvalidOption("--client-cert", what))
    return tuple(invalid)


def _refuse_pipes(*names: str) -> None:
    """OpenSSL would open a pipe once more, and wait in there for ever.

    Raises:
        OSError: one of `names` is neither a regular file nor a folder.
    """
    for name in names:
        if not Path(name).is_file() and not Path(name).is_dir():
            raise OSError(name)
