"""A cache of Kubernetes objects: list, watch, and list again when the watch breaks."""

import asyncio
import base64
import contextlib
import json
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

Object = dict[str, Any]

_RETRY = 0.5
"""Seconds before a broken list or watch is tried again."""


class Client:
    """JSON calls to one API server with the identity of one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        self._url = cluster["server"]
        self._ssl = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pem:  # the ssl module reads client certificates from files only
            pem.write(base64.b64decode(user["client-certificate-data"]))
            pem.write(base64.b64decode(user["client-key-data"]))
            pem.flush()
            self._ssl.load_cert_chain(pem.name)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False, read_bufsize=2**24)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: Object | None = None) -> Object:
        """One call; the answer's JSON.

        Raises:
            aiohttp.ClientResponseError: For every status from 400 upwards.

        """
        async with self._session.request(
            method, self._url + path, json=body, ssl=self._ssl, raise_for_status=True
        ) as response:
            answer: Object = await response.json()
            return answer

    async def lines(self, path: str) -> aiohttp.ClientResponse:
        """Start a watch; the caller iterates over the answer's `content`."""
        return await self._session.get(self._url + path, ssl=self._ssl, raise_for_status=True)


class Cache:
    """All objects of one kind, by uid."""

    def __init__(self, client: Client, path: str, changed: Callable[[], None]) -> None:
        self.objects: dict[str, Object] = {}
        self.synced = False
        """Whether the first list came back: until then, absence proves nothing."""
        self._client, self._path, self._changed = client, path, changed

    async def follow(self) -> None:
        """Keep up for ever; a failure of the API server only delays."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError):
                await self._watch(await self._list())
            await asyncio.sleep(_RETRY)

    async def _list(self) -> str:
        listed = await self._client.call("GET", self._path)
        self.objects = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.synced = True
        self._changed()
        version: str = listed["metadata"]["resourceVersion"]
        return version

    async def _watch(self, version: str) -> None:
        query = f"?watch=true&timeoutSeconds=240&allowWatchBookmarks=true&resourceVersion={version}"
        async with await self._client.lines(self._path + query) as response:
            async for line in response.content:
                self._take(json.loads(line))

    def _take(self, event: Object) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ValueError(item.get("message"))  # too old: list again
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self.objects.pop(item["metadata"]["uid"], None)
        else:
            self.objects[item["metadata"]["uid"]] = item
        self._changed()


async def follow(
    client: Client,
    paths: dict[str, str],
    act: Callable[[dict[str, Cache]], Any],
    *,
    dirty: asyncio.Event | None = None,
    settle: float = 0.02,
) -> None:
    """Follow several kinds and call `act` with all caches after each burst of changes, once all are synced.

    `act` may be a coroutine function. `settle` is how many seconds a burst may grow before it is acted upon.
    Setting `dirty` from elsewhere has it called as well.
    """
    dirty = dirty or asyncio.Event()
    caches = {name: Cache(client, path, dirty.set) for name, path in paths.items()}
    async with asyncio.TaskGroup() as group:
        for cache in caches.values():
            group.create_task(cache.follow())
        while True:
            await dirty.wait()
            await asyncio.sleep(settle)
            dirty.clear()
            if all(cache.synced for cache in caches.values()):
                outcome = act(caches)
                if asyncio.iscoroutine(outcome):
                    await outcome
