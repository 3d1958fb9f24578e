"""A ledger's database outside of the cluster, as a platform team gives one: TLS, a password, one owner."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devcluster import pki, postgres
from testbed.site import SYSTEM, Site

SECRET = "doorward-ledger"
PORT = 5432


@dataclass(frozen=True)
class Database:
    """A running server, and what the brokers need to know of it."""

    server: postgres.Server
    host: str
    password: str
    authority: str

    def secret(self) -> dict[str, Any]:
        """What all brokers share, as docs/ledger.md makes it."""
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        where = f"doorward:{self.password}@{self.host}:{PORT}/doorward"
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": SYSTEM},
            "stringData": {
                "url": f"postgresql://{where}?sslrootcert=/etc/doorward/ledger/ca.crt",
                "checkpoint.pem": key.decode(),
                "ca.crt": self.authority,
            },
        }

    def values(self) -> dict[str, Any]:
        """What the chart is told of it."""
        return {"secret": SECRET, "cidrs": [f"{self.host}/32"], "port": PORT}


@contextmanager
def served(site: Site, folder: Path) -> Iterator[Database]:
    """A server that pods reach at the host's address, for as long as the block lasts."""
    host, password = site.facts["HOST_IP"], secrets.token_urlsafe(16)
    server = postgres.make()
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE doorward PASSWORD '{password}'".encode())
            connection.execute("CREATE DATABASE doorward")
        server.stop()
        authority = pki.Authority(folder)
        pair = authority.issue("database", "database", names=(host,))
        rules = (server.folder / "data/pg_hba.conf").read_text()
        server.keep("data/pg_hba.conf", f"{rules}hostssl doorward doorward all scram-sha-256\n".encode())
        server.settings = {
            "listen_addresses": host,
            "port": str(PORT),
            "ssl": "on",
            "ssl_cert_file": str(server.keep("server.crt", pair.cert.read_bytes())),
            "ssl_key_file": str(server.keep("server.key", pair.key.read_bytes())),
        }
        server.start()
        yield Database(server, host, password, authority.pair.cert.read_text())
    finally:
        server.remove()
