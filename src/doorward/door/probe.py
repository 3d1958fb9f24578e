"""Probing: does anything at this address answer us?"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable
from typing import Final

from doorward.door.fence import Reach, Sighting, Target

_BLOCKED: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ETIMEDOUT,
        errno.EACCES,
        errno.EPERM,
        errno.EAFNOSUPPORT,
    }
)
"""Errors that come from the way there. Others (no socket left, no memory) say nothing about it."""

_NO_SOURCE: Final = errno.EADDRNOTAVAIL
"""A pod without an IPv6 address, or one whose every local port the agent has taken."""


async def round_of(targets: Iterable[Target], seconds: float) -> list[Sighting]:
    """Probe all targets at the same time, each for at most `seconds`."""
    return list(await asyncio.gather(*(_sight(target, seconds) for target in targets)))


async def _sight(target: Target, seconds: float) -> Sighting:
    return Sighting(target, await reach(target, seconds))


async def reach(target: Target, seconds: float) -> Reach:
    """Whether the target can be reached; no answer within `seconds` is `blocked`."""
    probe = _udp if target.protocol == "udp" else _tcp
    try:
        async with asyncio.timeout(seconds):
            await probe(target.host, target.port)
    except TimeoutError:
        return Reach.BLOCKED
    except OSError as error:
        return Reach.BLOCKED if _on_the_way(error.errno, target) else Reach.UNDECIDED
    return Reach.OPEN


def _on_the_way(number: int | None, target: Target) -> bool:
    return number in _BLOCKED or (number == _NO_SOURCE and ":" in target.host)


async def _tcp(host: str, port: int) -> None:
    _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def _udp(host: str, port: int) -> None:
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Echo(answered), remote_addr=(host, port)
    )
    try:
        transport.sendto(b"doorward")
        await answered
    finally:
        transport.close()


class _Echo(asyncio.DatagramProtocol):
    """Waits for anything to come back."""

    def __init__(self, answered: asyncio.Future[None]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Something answered."""
        del data, addr
        if not self._answered.done():
            self._answered.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """The way there answered for it, e.g. port unreachable."""
        if not self._answered.done():
            self._answered.set_exception(exc)
