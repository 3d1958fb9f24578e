"""Knowing what is there: list, watch, and relist, without ever missing that something has gone.

A watch tells of deletions only while it lasts. After a gap the list alone says what is there, and
whatever was known before and is not in it any more has gone; the informer says so for each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from doorward.kube.backoff import Backoff
from doorward.kube.client import SILENCE_SECONDS, Client
from doorward.kube.errors import ApiError
from doorward.kube.resources import Object, Resource, name_of, namespace_of, uid_of
from doorward.telemetry import log

_LOG: Final = log.get("doorward.kube")
_WATCH_SECONDS: Final = 270
_SETTLED_SECONDS: Final = 1.0
"""A watch that was opened again and has not failed for so long has told what was missed."""


class ChangeType(StrEnum):
    """What a change says."""

    PRESENT = "present"
    """The object is there, in this form. Also said of what has not changed, after a relist."""
    GONE = "gone"
    """The object is not there any more. After a gap only `metadata` name, namespace and uid are told."""
    SYNCED = "synced"
    """Everything that is there has been told; the object is empty."""


@dataclass(frozen=True, slots=True)
class Change:
    """One piece of news from an informer."""

    type: ChangeType
    object: Object


OnEvent = Callable[[Change], None]
"""Called for each change in order; must not block: put it down and go."""


class Informer:
    """Follows one resource, in one namespace or in all, until cancelled."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None,
        on_event: OnEvent,
        *,
        labels: str | None = None,
        backoff: Backoff | None = None,
        silence: float = SILENCE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._on_event = on_event
        self._labels = labels
        self._backoff = backoff or Backoff()
        self._silence = silence
        self._sleep = sleep
        self._known: dict[tuple[str, str], str] = {}
        self._version: str | None = None
        self._failures = 0
        self.synced = asyncio.Event()
        """Set once everything that is there has been told."""
        self.heard = time.monotonic()
        """When the server last said anything, on the monotonic clock."""
        self._broken: float | None = None
        self._settling: asyncio.TimerHandle | None = None

    @property
    def behind(self) -> float:
        """For how many seconds the watch has been broken; 0 while it is followed."""
        return 0.0 if self._broken is None else time.monotonic() - self._broken

    async def run(self) -> None:
        """Never returns. Errors are logged and followed by another attempt, however many there are."""
        while True:
            try:
                await self._follow()
            except ApiError as error:
                await self._failed(error)

    async def _follow(self) -> None:
        if self._version is None:
            self._version = await self._list()
        try:
            await self._watch(self._version)
        finally:
            if self._settling is not None:
                self._settling.cancel()

    async def _watch(self, version: str) -> None:
        changes = self._client.watch(
            self._resource,
            self._namespace,
            version=version,
            labels=self._labels,
            seconds=_WATCH_SECONDS,
            silence=self._silence,
            opened=self._settle,
        )
        async for kind, found in changes:
            self._heard()
            self._mended()
            self._version = found["metadata"]["resourceVersion"]
            self._tell(kind, found)

    async def _list(self) -> str:
        """Tell of everything that is there, and of what is not any more; gives the list's version."""
        seen: set[tuple[str, str]] = set()
        version = ""
        async for page in self._client.pages(self._resource, self._namespace, self._labels):
            self._heard()
            version = page.version
            for found in page.items:
                # Items of a list come without these two; everything behind this line may rely on them.
                found.update(apiVersion=self._resource.api_version, kind=self._resource.kind)
                seen.add(_key(found))
                self._tell("ADDED", found)
        for key in self._known.keys() - seen:
            self._tell("DELETED", self._stub(key))
        self._on_event(Change(ChangeType.SYNCED, {}))
        self.synced.set()
        return version

    def _tell(self, kind: str, found: Object) -> None:
        if kind == "BOOKMARK":
            return
        key, uid = _key(found), uid_of(found)
        if kind == "DELETED":
            self._known.pop(key, None)
            self._on_event(Change(ChangeType.GONE, found))
            return
        if self._known.get(key, uid) != uid:  # made anew under its old name while we looked away
            self._on_event(Change(ChangeType.GONE, self._stub(key)))
        self._known[key] = uid
        self._on_event(Change(ChangeType.PRESENT, found))

    def _stub(self, key: tuple[str, str]) -> Object:
        namespace, name = key
        metadata = {"name": name, "namespace": namespace, "uid": self._known[key]}
        return {"apiVersion": self._resource.api_version, "kind": self._resource.kind, "metadata": metadata}

    def _heard(self) -> None:
        self.heard = time.monotonic()
        self._failures = 0

    def _settle(self) -> None:
        self._settling = asyncio.get_running_loop().call_later(_SETTLED_SECONDS, self._mended)

    def _mended(self) -> None:
        self._broken = None

    async def _failed(self, error: ApiError) -> None:
        self._failures += 1
        if self._broken is None:
            self._broken = time.monotonic()
        if error.gone:
            self._version = None
        tell = _LOG.info if error.gone or error.transient else _LOG.warning
        place = self._namespace or "all namespaces"
        tell("a watch is opened again", resource=self._resource.plural, place=place, error=str(error))
        await self._sleep(max(error.retry_after, self._backoff.delay(self._failures)))


async def watch_forever(
    client: Client,
    resource: Resource,
    namespace: str | None,
    on_event: OnEvent,
    *,
    labels: str | None = None,
) -> None:
    """Tell `on_event` of everything there is and of every change, until cancelled.

    For liveness and to wait for the first list, make an `Informer` and run it.
    """
    await Informer(client, resource, namespace, on_event, labels=labels).run()


def _key(found: Object) -> tuple[str, str]:
    return namespace_of(found), name_of(found)
