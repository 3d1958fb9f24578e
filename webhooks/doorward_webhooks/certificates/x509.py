"""The cryptography: EC P-256 throughout, nothing that TLS 1.3 stacks disagree about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from doorward_webhooks.certificates.plan import Certificate, Leaf

SKEW: Final = timedelta(minutes=5)
"""Certificates begin this much earlier, for clocks that are behind."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key as PEM."""

    certificate: bytes
    key: bytes


def make_authority(now: datetime, life: timedelta) -> Pair:
    """A new self-signed authority that may sign leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"doorward authority {serial:x}"[:64])
    builder = _builder(name, name, key.public_key(), begins=now, ends=now + life, serial=serial)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Pair, names: Sequence[str], now: datetime, life: timedelta) -> Pair:
    """A leaf for these DNS names; it ends with its authority at the latest."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = _private(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    subject, serial = _name(names[0][:64]), x509.random_serial_number()
    ends = min(now + life, issuer.not_valid_after_utc)
    builder = _builder(subject, issuer.subject, key.public_key(), begins=now, ends=ends, serial=serial)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
        (alternatives, False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def certificate(pem: bytes) -> Certificate | None:
    """What the rotation needs to know of a PEM certificate; None for what is none."""
    try:
        return _seen(x509.load_pem_x509_certificate(pem))
    except ValueError:
        return None


def leaf(pair: Pair, authorities: Sequence[bytes]) -> Leaf | None:
    """The leaf in a Secret; None when it is no certificate or does not match its key."""
    try:
        found = x509.load_pem_x509_certificate(pair.certificate)
        if found.public_key() != _private(pair.key).public_key():
            return None
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return None
    return Leaf(_seen(found), _issuer(found, authorities), tuple(names.get_values_for_type(x509.DNSName)))


def bundle(pem: bytes) -> list[bytes]:
    """The certificates of a bundle one by one; empty for what is none."""
    try:
        return [_pem(found) for found in x509.load_pem_x509_certificates(pem)]
    except ValueError:
        return []


def fingerprint(pem: bytes) -> str:
    """Hexadecimal SHA-256 of a certificate. Raises `ValueError` for what is none."""
    return _seen(x509.load_pem_x509_certificate(pem)).fingerprint


def matches(pair: Pair) -> bool:
    """Whether the key is the certificate's."""
    try:
        found = x509.load_pem_x509_certificate(pair.certificate)
        return found.public_key() == _private(pair.key).public_key()
    except (ValueError, TypeError):
        return False


def _issuer(found: x509.Certificate, authorities: Sequence[bytes]) -> str:
    for pem in authorities:
        authority = x509.load_pem_x509_certificate(pem)
        try:
            found.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return _seen(authority).fingerprint
    return ""


def _seen(found: x509.Certificate) -> Certificate:
    return Certificate(
        found.fingerprint(hashes.SHA256()).hex(),
        found.not_valid_before_utc + SKEW,
        found.not_valid_after_utc,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    begins: datetime,
    ends: datetime,
    serial: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(begins - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = "not an EC key"
        raise TypeError(msg)
    return key


def _pair(found: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return Pair(_pem(found), pem)


def _pem(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.PEM)
