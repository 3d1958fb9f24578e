"""Authorities and leaves: what they may do, whom they belong to, and when they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from cryptography import x509 as lib
from cryptography.x509.oid import ExtendedKeyUsageOID

from doorward_webhooks.certificates import x509
from doorward_webhooks.certificates.plan import Target
from doorward_webhooks.certificates.x509 import Pair

NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
YEAR: Final = timedelta(days=365)
WEEK: Final = timedelta(days=7)
NAMES: Final = Target("doorward-system", "doorward-broker").names


@pytest.fixture(scope="module")
def authority() -> Pair:
    """An authority that began at `NOW`."""
    return x509.make_authority(NOW, YEAR)


def _parsed(pair: Pair) -> lib.Certificate:
    return lib.load_pem_x509_certificate(pair.certificate)


def test_an_authority_signs_leaves_and_nothing_else(authority: Pair) -> None:
    """Path length 0, no other usage: a stolen leaf cannot make more."""
    extensions = _parsed(authority).extensions
    constraints = extensions.get_extension_for_class(lib.BasicConstraints)
    usage = extensions.get_extension_for_class(lib.KeyUsage).value

    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)


def test_a_leaf_serves_under_its_names_and_signs_nothing(authority: Pair) -> None:
    """Server authentication only, the four names of a Service, a key of its own."""
    pair = x509.issue(authority, NAMES, NOW, WEEK)
    found = x509.leaf(pair, [authority.certificate])
    extensions = _parsed(pair).extensions
    usages = extensions.get_extension_for_class(lib.ExtendedKeyUsage).value

    assert found is not None
    assert found.names == (
        "doorward-broker",
        "doorward-broker.doorward-system",
        "doorward-broker.doorward-system.svc",
        "doorward-broker.doorward-system.svc.cluster.local",
    )
    assert found.issuer == x509.fingerprint(authority.certificate)
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert extensions.get_extension_for_class(lib.BasicConstraints).value.ca is False


def test_a_leaf_never_outlives_its_authority(authority: Pair) -> None:
    """A chain that ends before its leaf would fail on a day that no metric shows."""
    pair = x509.issue(authority, NAMES, NOW + YEAR - timedelta(days=1), WEEK)

    assert _parsed(pair).not_valid_after_utc == _parsed(authority).not_valid_after_utc


def test_certificates_begin_before_they_are_made(authority: Pair) -> None:
    """Clocks that are five minutes behind accept them; the rotation counts from the making."""
    seen = x509.certificate(authority.certificate)

    assert seen is not None
    assert _parsed(authority).not_valid_before_utc == NOW - x509.SKEW
    assert (seen.begins, seen.ends) == (NOW, NOW + YEAR)


def test_a_leaf_of_another_authority_has_no_issuer(authority: Pair) -> None:
    """A certificate that somebody put there is replaced, whatever name its issuer bears."""
    stranger = x509.make_authority(NOW, YEAR)
    found = x509.leaf(x509.issue(stranger, NAMES, NOW, WEEK), [authority.certificate])

    assert found is not None
    assert found.issuer == ""


def test_a_certificate_without_its_key_is_no_leaf(authority: Pair) -> None:
    """Halves of two pairs, an empty Secret and plain text all mean: issue anew."""
    one, two = (x509.issue(authority, NAMES, NOW, WEEK) for _ in range(2))
    trusted = [authority.certificate]

    assert x509.leaf(Pair(one.certificate, two.key), trusted) is None
    assert x509.leaf(Pair(b"", b""), trusted) is None
    assert x509.leaf(Pair(b"text", one.key), trusted) is None
    assert x509.leaf(Pair(one.certificate, b"text"), trusted) is None


def test_a_bundle_is_read_one_by_one(authority: Pair) -> None:
    """In order, and as nothing where it is none."""
    second = x509.make_authority(NOW, YEAR)

    assert x509.bundle(authority.certificate + second.certificate) == [
        authority.certificate,
        second.certificate,
    ]
    assert x509.bundle(b"") == []
    assert x509.bundle(b"-----BEGIN CERTIFICATE-----\n") == []
