"""TLS on every hop. A server's certificate is replaced in place when its files change."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import ssl
from pathlib import Path
from typing import Final

from cryptography.x509 import load_pem_x509_certificate

_LOG: Final = logging.getLogger("doorward.serving")


class Certificates:
    """A server context over two files that somebody else rotates.

    New handshakes get the new certificate; connections that exist go on. A pair that does not belong
    together (seen halfway through a rotation) or an empty one (not issued yet) changes nothing.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._loaded: bytes | None = None
        self.context = _context()

    @property
    def loaded(self) -> bool:
        """Whether there is a certificate to serve with."""
        return self._loaded is not None

    def refresh(self) -> bool:
        """Load the files if they changed. True when a new pair is in use."""
        pair = self._read()
        if pair is None or (seen := hashlib.sha256(pair).digest()) == self._loaded:
            return False
        try:
            _load(_context(), pair)
            _load(self.context, pair)
        except (ssl.SSLError, OSError) as error:
            _LOG.warning("certificate %s is not usable yet: %s", self._files[0], error)
            return False
        self._loaded = seen
        return True

    async def watch(self, interval: float = 5.0) -> None:
        """Refresh for ever; starts with waiting for the first usable pair."""
        while True:
            if self.refresh():
                _LOG.info("serving with the certificate in %s", self._files[0])
            await asyncio.sleep(interval)

    async def ready(self, interval: float = 0.5) -> None:
        """Return once there is a certificate."""
        while not self.loaded and not self.refresh():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(interval)

    def expires_at(self) -> float:
        """Seconds since the epoch at which the file's certificate ends. Raises `OSError`, `ValueError`."""
        return load_pem_x509_certificate(self._files[0].read_bytes()).not_valid_after_utc.timestamp()

    def _read(self) -> bytes | None:
        try:
            parts = [path.read_bytes() for path in self._files]
        except OSError:
            return None
        return b"\n".join(parts) if all(parts) else None


def tls_context(certificate: Path, key: Path) -> Certificates:
    """The certificates of a server, loaded if they are there already."""
    created = Certificates(certificate, key)
    created.refresh()
    return created


def client_context(bundle: str) -> ssl.SSLContext:
    """For calling our own parts: TLS 1.3, and nothing trusted but the PEM texts in `bundle`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=bundle)
    return context


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, pair: bytes) -> None:
    """Load certificate and key from one read of both files, by way of memory.

    The library loads from paths only; reading the files again could give the halves of two pairs.
    """
    descriptor = os.memfd_create("doorward-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as memory:
            memory.write(pair)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    finally:
        os.close(descriptor)


def _no_password() -> str:
    return ""
