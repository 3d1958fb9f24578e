"""Listeners that no task pod may reach. The broker reaches them, so that a silence means a fence."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from doorward.broker.settings import CanaryAddress
from doorward.core.strictjson import Json

INTERVAL: Final = 3.0
ALIVE_SECONDS: Final = 10.0
"""How long one success counts for what doors are told; for a proof of the fence none of the past counts."""

Where = tuple[str, str, int, str]
"""Name, IP address, port and protocol of something probed."""


@dataclass
class Canary:
    """One canary as last probed."""

    address: CanaryAddress
    host: str = ""
    """The IP address that answered: doors resolve no names."""
    answered_at: float | None = None

    @property
    def where(self) -> Where:
        """What a door that probed it reports."""
        return self.address.name, self.host, self.address.port, self.address.protocol


@dataclass
class Canaries:
    """All of them."""

    addresses: Sequence[CanaryAddress]
    monotonic: Callable[[], float] = time.monotonic
    timeout: float = 2.0
    """Seconds for one probe."""
    known: list[Canary] = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _next: asyncio.Future[None] | None = None
    """A round that was asked for and has not begun."""

    def __post_init__(self) -> None:
        self.known = [Canary(address) for address in self.addresses]

    def document(self) -> list[Json]:
        """What doors are told; a canary that was never found has no address and is left out."""
        return [
            {
                "name": canary.address.name,
                "host": canary.host,
                "port": canary.address.port,
                "protocol": canary.address.protocol,
                "alive": self._alive(canary),
            }
            for canary in self.known
            if canary.host
        ]

    async def run(self) -> None:
        """Probe for ever."""
        while True:
            await self.probe()
            await asyncio.sleep(INTERVAL)

    async def probe(self) -> None:
        """Probe each once, all at the same time."""
        await asyncio.gather(*(self._probe(canary) for canary in self.known))

    async def silent(self, blocked: Collection[Where]) -> list[str]:
        """Protocols for which none of these is a canary that answers from now on; empty when each has one.

        Where no canary is known, that is every protocol: nothing shows then that a fence holds.
        """
        asked = self.monotonic()
        await self._fresh()
        heard = {
            canary.address.protocol
            for canary in self.known
            if canary.where in blocked and canary.answered_at is not None and canary.answered_at >= asked
        }
        return sorted(({address.protocol for address in self.addresses} or {"tcp", "udp"}) - heard)

    async def _fresh(self) -> None:
        """A round that begins after this call; calls that wait for the same one share it."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._round())
        await asyncio.shield(self._next)

    async def _round(self) -> None:
        async with self._turn:
            self._next = None
            await self.probe()

    def _alive(self, canary: Canary) -> bool:
        return canary.answered_at is not None and self.monotonic() - canary.answered_at < ALIVE_SECONDS

    async def _probe(self, canary: Canary) -> None:
        address = canary.address
        try:
            async with asyncio.timeout(self.timeout):
                host = await _resolve(address)
                await (_tcp if address.protocol == "tcp" else _udp)(host, address.port)
        except (OSError, TimeoutError):
            return
        canary.host, canary.answered_at = host, self.monotonic()


async def _resolve(address: CanaryAddress) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port)
    return str(found[0][4][0])


async def _tcp(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()


async def _udp(host: str, port: int) -> None:
    """Send a nonce and wait for it: a datagram that is not echoed proves nothing."""
    nonce = secrets.token_bytes(16)
    heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Echo(nonce, heard), remote_addr=(host, port)
    )
    try:
        transport.sendto(nonce)
        await heard
    finally:
        transport.close()


class _Echo(asyncio.DatagramProtocol):
    def __init__(self, nonce: bytes, heard: asyncio.Future[None]) -> None:
        self._nonce = nonce
        self._heard = heard

    def datagram_received(self, data: bytes, _: object) -> None:
        """The echo."""
        if data == self._nonce and not self._heard.done():
            self._heard.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there."""
        if not self._heard.done():
            self._heard.set_exception(exc)
