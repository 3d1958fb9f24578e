"""Where connectors are, by address: task pods resolve no names, so the broker does it for them."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Final

from doorward.api.v1alpha1 import Connector
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

Resolve = Callable[[str, int], Awaitable[str]]
"""Name and port -> one IP address. Raises `OSError`."""
_REMEMBERED_SECONDS: Final = 30.0


async def by_dns(name: str, port: int) -> str:
    """The first address that the resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port)
    return str(found[0][4][0])


class Places:
    """Resolves Services, remembering each answer for a while: a Service keeps its address for life."""

    def __init__(self, resolve: Resolve = by_dns, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._resolve = resolve
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, str]] = {}

    async def document(self, connector: Connector) -> dict[str, Json]:
        """What a door is told about a connector. Raises `Refusal(unavailable)` when it has no address."""
        service = connector.spec.service
        name = f"{service.name}.{service.namespace}.svc"
        address = ipaddress.ip_address(await self._address(name, service.port))
        host = f"[{address}]" if address.version == 6 else str(address)
        return {
            "name": connector.metadata.name,
            "type": connector.spec.type,
            "provider": connector.spec.provider,
            "catalogueHash": connector.spec.catalogue_hash,
            "audience": connector.spec.audience,
            "url": f"https://{host}:{service.port}",
            "serverName": name,
        }

    async def _address(self, name: str, port: int) -> str:
        now = self._monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] < _REMEMBERED_SECONDS:
            return known[1]
        try:
            found = await self._resolve(name, port)
        except OSError as error:
            raise Refusal(
                Code.UNAVAILABLE, f"the service {name} has no address yet", ask="try again"
            ) from error
        self._known[name] = (now, found)
        return found
