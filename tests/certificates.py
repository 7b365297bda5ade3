"""Private certificate authorities, as in companies, and their certificates."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)

USES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only"
)
SIGNS_CERTIFICATES = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(USES.split(), False))


class Authority:
    """A private certificate authority. It writes its PEM files into `folder`, by default with key identifiers."""

    def __init__(self, folder: Path, name: str, *, identifiers: bool = True) -> None:
        self._identifiers = identifiers
        self.folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(timezone.utc)
        certificate = (
            self._builder(self._name, self._key, now - DAY, now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
        )
        self.file = folder / f"{''.join(filter(str.isalnum, name))}.pem"
        self.file.write_bytes(certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, name: str, *alternatives: x509.GeneralName, days: int = 1, password: bytes | None = None
    ) -> tuple[Path, Path]:
        """Issue a certificate and its key. It expires in `days`; a negative number is in the past."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        until = datetime.now(timezone.utc) + days * DAY
        builder = self._builder(subject, key, until - 90 * DAY, until)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        cert_file, key_file = self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem"
        cert_file.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return cert_file, key_file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, since: datetime, until: datetime
    ) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
        )
        if not self._identifiers:
            return builder
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        ).add_extension(issuer, critical=False)


def context(pair: tuple[Path, Path], clients: Authority | None = None) -> ssl.SSLContext:
    """Return the TLS context of a server. With `clients`, it requires a client certificate from that authority."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pair)
    if clients:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(clients.file)
    return tls


LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))
