"""Admission put together: settings in, a running webhook out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from doorward import serving
from doorward.kube import Access, Client, EventsRecorder, Identity, connect, subject_access_review
from doorward.telemetry import log, metrics
from doorward_webhooks.admission.caches import Caches
from doorward_webhooks.admission.census import Census
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.metrics import Metrics
from doorward_webhooks.admission.renderings import Renderings
from doorward_webhooks.admission.review import User
from doorward_webhooks.admission.server import Admission
from doorward_webhooks.admission.settings import Settings

_LOG: Final = log.get(__name__)


class Process:
    """One replica. To be made inside a running loop."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._registry = metrics.registry("admission")
        self._certificates = serving.tls_context(settings.tls_certificate, settings.tls_key)
        self._caches = Caches(client)
        self._renderings = Renderings(
            settings.render_file, settings.ca_file, settings.history_file, settings.broker_ip
        )
        counted = Metrics(self._registry)
        counted.watch_caches(self._caches.sizes)
        self._admission = Admission(self._surroundings, self._allows, counted)
        recorder = EventsRecorder(client, "doorward.dev/admission", settings.pod_name)
        self._census = Census(client, self._caches, recorder, counted.counted)
        self.port: int | None = None
        """Where it listens, once it does."""

    def waits_for(self) -> Sequence[str]:
        """What keeps this replica from being asked."""
        missing = {
            "a certificate": self._certificates.loaded,
            "the render settings": self._renderings.current(),
            "its end": not self._admission.draining,
        }
        return [*(name for name, there in missing.items() if not there), *self._caches.waits_for()]

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` and a while longer: readiness goes first, connections close one by one."""
        ops = serving.ops_listener(self._registry, self.waits_for, *self._settings.ops_listen)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(ops)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            work = [
                self._certificates.watch(),
                self._renderings.watch(),
                self._census.run(self._settings.census_seconds, self._caches.enrolment),
                *(informer.run() for informer in self._caches.informers),
            ]
            running = [group.create_task(item) for item in work]
            await self._listen(stop)
            for task in running:
                task.cancel()

    async def _listen(self, stop: asyncio.Event) -> None:
        if not await self._certified(stop):
            return
        host, port = self._settings.listen
        async with serving.listening(self._admission.app(), host, port, self._certificates.context) as bound:
            self.port = bound.port
            _LOG.info("listening", port=bound.port)
            await stop.wait()
            self._admission.draining = True
            _LOG.info("draining", seconds=self._settings.drain_seconds)
            await asyncio.sleep(self._settings.drain_seconds)

    async def _certified(self, stop: asyncio.Event) -> bool:
        """Wait for a certificate; False when told to stop before there was one."""
        waiting = [asyncio.ensure_future(work) for work in (self._certificates.ready(), _wait(stop))]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return not stop.is_set()

    def _surroundings(self) -> Surroundings:
        settings = self._settings
        return Surroundings(settings.operator, self._caches, self._renderings.current(), settings.schedulers)

    async def _allows(self, user: User, access: Access) -> bool:
        who = Identity(user.name, user.uid, user.groups, user.extra)
        return await subject_access_review(self._client, who, access)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises `ConfigError` when there is no access to a cluster."""
    async with connect() as client:
        await Process(settings, client).serve(stop)


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
