"""The broker's public keys, fetched from the broker alone and kept fresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.errors import Refusal
from doorward.telemetry import log

Keys = Mapping[str, Ed25519PublicKey]
Fetch = Callable[[], Awaitable[Keys]]

REFRESH_SECONDS: Final = 30.0
_EAGER_SECONDS: Final = 5.0
"""How often an unknown key may cause a fetch: strangers must not make us ask."""


class Keyring:
    """Pinned keys. Empty until the first fetch succeeded, and an empty ring verifies nothing."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._fetched_at = float("-inf")
        self.keys: Keys = {}

    async def refresh(self) -> bool:
        """Fetch. True when the keys changed; the old ones stay when the broker does not answer."""
        self._fetched_at = self._clock()
        try:
            found = await self._fetch()
        except (Refusal, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.get(__name__).warning("keys not fetched", error=str(error) or type(error).__name__)
            return False
        changed = set(found) != set(self.keys)
        self.keys = found
        return changed

    async def refresh_eagerly(self) -> bool:
        """Fetch because a key was unknown, unless that was done a moment ago. True when keys changed."""
        if self._clock() - self._fetched_at < _EAGER_SECONDS:
            return False
        return await self.refresh()

    async def watch(self) -> None:
        """Keep fresh for ever; until there are keys, try each second."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS if self.keys else 1.0)
