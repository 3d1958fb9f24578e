"""A certificate authority that lives as long as a test."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from doorward.serving import Certificates, tls_context


class Authority:
    """Signs server certificates; `bundle` vouches for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        self._certificate = self._sign(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0), []
        )
        self.bundle = self._certificate.public_bytes(Encoding.PEM).decode()
        self.bundle_file = folder / "ca.crt"
        self.bundle_file.write_text(self.bundle)

    def issue(self, server_name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key files for a name and for an address, by default that of the loopback device."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(server_name), x509.IPAddress(ipaddress.ip_address(address))]
        certificate = self._sign(
            _name(server_name), key.public_key(), x509.BasicConstraints(ca=False, path_length=None), names
        )
        files = (self._folder / f"{server_name}.crt", self._folder / f"{server_name}.key")
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def server(self, server_name: str, address: str = "127.0.0.1") -> Certificates:
        """A server's context."""
        return tls_context(*self.issue(server_name, address))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        constraints: x509.BasicConstraints,
        names: list[x509.GeneralName],
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(usage, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
