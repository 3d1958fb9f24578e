"""Certificates that change under a running server."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from asyncio import sslproto
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from waiting import until

from doorward import serving
from doorward.serving import Certificates, Limits, Request, Route


def issue(name: str) -> tuple[bytes, bytes]:
    """A self-signed pair for localhost whose subject is `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "tls.crt", tmp_path / "tls.key"


def put(files: tuple[Path, Path], pair: tuple[bytes, bytes]) -> None:
    for path, data in zip(files, pair, strict=True):
        path.write_bytes(data)


async def served_name(certificates: Certificates, trusted: bytes) -> str:
    """Common name of the certificate that a client which trusts `trusted` is shown."""

    async def nothing(_: Request) -> object:
        raise AssertionError

    routes = [Route("GET", "/", nothing)]  # type: ignore[arg-type]
    async with serving.listening(serving.app(routes), "127.0.0.1", 0, tls=certificates.context) as found:
        _, writer = await asyncio.open_connection(
            "127.0.0.1",
            found.port,
            ssl=serving.client_context(trusted.decode()),
            server_hostname="localhost",
        )
        shown = writer.get_extra_info("ssl_object").getpeercert()
        writer.close()
        await writer.wait_closed()
    return str(dict(part[0] for part in shown["subject"])["commonName"])


async def test_a_new_pair_is_served_without_a_restart(files: tuple[Path, Path]) -> None:
    """The same context shows the new certificate to the next handshake."""
    first, second = issue("first"), issue("second")
    put(files, first)
    certificates = serving.tls_context(*files)
    before = await served_name(certificates, first[0])
    put(files, second)
    certificates.refresh()

    assert (before, await served_name(certificates, second[0])) == ("first", "second")


async def test_halves_of_two_pairs_change_nothing(files: tuple[Path, Path]) -> None:
    """Seen halfway through a rotation, the old pair stays, and the whole new one is taken later."""
    first, second = issue("first"), issue("second")
    put(files, first)
    certificates = serving.tls_context(*files)
    put(files, (second[0], first[1]))

    assert certificates.refresh() is False
    assert await served_name(certificates, first[0]) == "first"

    put(files, second)

    assert certificates.refresh() is True


def test_an_empty_secret_is_waited_for(files: tuple[Path, Path]) -> None:
    """Charts create the Secret empty; nothing is loaded until somebody has issued."""
    put(files, (b"", b""))
    certificates = serving.tls_context(*files)

    assert certificates.loaded is False

    put(files, issue("first"))

    assert certificates.refresh() is True
    assert certificates.expires_at() > 0


def test_an_unchanged_pair_is_not_loaded_again(files: tuple[Path, Path]) -> None:
    """Looking every few seconds costs two reads."""
    put(files, issue("first"))
    certificates = serving.tls_context(*files)

    assert certificates.refresh() is False


async def test_tls_below_1_3_is_not_spoken(files: tuple[Path, Path]) -> None:
    """Both ends are ours: there is no old client to please."""
    pair = issue("first")
    put(files, pair)
    old = ssl.create_default_context(cadata=pair[0].decode())
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    certificates = serving.tls_context(*files)
    async with serving.listening(serving.app([]), "127.0.0.1", 0, tls=certificates.context) as found:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", found.port, ssl=old, server_hostname="localhost")


async def test_a_handshake_that_never_begins_takes_a_place_too(files: tuple[Path, Path]) -> None:
    """Otherwise one pod could fill our memory with connections that nobody counts yet."""
    put(files, issue("one"))
    certificates = Certificates(*files)
    certificates.refresh()
    app = serving.app([], Limits(connections_per_peer=2))
    async with serving.listening(app, "127.0.0.1", 0, tls=certificates.context) as found:
        silent = [await asyncio.open_connection("127.0.0.1", found.port) for _ in range(2)]
        reader, beyond = await asyncio.open_connection("127.0.0.1", found.port)
        answer = await reader.read()
        for _, writer in [*silent, (reader, beyond)]:
            writer.close()
            await writer.wait_closed()
        await until(lambda: found.places.held == {})

    assert answer == b""


async def test_a_connection_keeps_a_small_buffer(files: tuple[Path, Path]) -> None:
    """The event loop gives each TLS connection 256 KiB for its life: thousands of them would end us."""
    put(files, issue("one"))
    certificates = Certificates(*files)
    certificates.refresh()
    async with serving.listening(serving.app([]), "127.0.0.1", 0, tls=certificates.context):
        kept = sslproto.SSLProtocol.max_size

    assert kept == 32 * 1024
