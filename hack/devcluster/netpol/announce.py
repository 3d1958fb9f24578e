"""Learns of a pod's address from the network plugin, before the pod's first process starts.

Waiting for the API server to tell would take until kubelet has reported the pod's status; by then the pod has
long tried its first connection. So the plugin says the address over a socket and waits until the rules hold.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from devcluster.netpol.model import Object

Key = tuple[str, str]
"""Namespace and name of a pod."""


class Announcements:
    """Addresses that were announced, and who waits for them to be in force."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._addresses: dict[Key, str] = {}
        self._waiting: dict[Key, asyncio.Event] = {}
        self._changed = changed

    async def serve(self, path: Path) -> None:
        """Listen on a socket until cancelled: one JSON object in, `ok` out once the rules know the pod."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, before anything is served
        server = await asyncio.start_unix_server(self._answer, path)
        async with server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = json.loads(await reader.readline())
        await self.announce((message["namespace"], message["name"]), message["ip"])
        writer.write(b"ok\n")
        writer.close()

    async def announce(self, key: Key, ip: str) -> None:
        """Take an address and wait until `settle` has seen its pod."""
        self._addresses[key] = ip
        arrived = self._waiting[key] = asyncio.Event()
        self._changed()
        await arrived.wait()

    def complete(self, pods: Iterable[Object]) -> Iterator[Object]:
        """The same pods, with their announced address where the API server knows none yet."""
        for pod in pods:
            status: dict[str, Any] = pod.get("status") or {}
            if ip := None if status.get("podIP") else self._addresses.get(_key(pod)):
                yield {**pod, "status": {**status, "podIP": ip}}
            else:
                yield pod

    def settle(self, pods: Iterable[Object]) -> None:
        """The rules for these pods are in force: let their plugins go on, and forget what is known now."""
        seen = {_key(pod): pod for pod in pods}
        for key, pod in seen.items():
            if key in self._waiting:
                self._waiting.pop(key).set()
            if (pod.get("status") or {}).get("podIP"):
                self._addresses.pop(key, None)
        for key in self._addresses.keys() - seen.keys() - self._waiting.keys():
            del self._addresses[key]


def _key(pod: Object) -> Key:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]
