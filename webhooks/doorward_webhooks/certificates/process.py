"""Going round: read, plan, write, read again, until nothing is due."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from doorward import serving
from doorward.kube import ApiError, Change, ChangeType, Client, Informer, connect, resources
from doorward.kube.resources import name_of
from doorward.telemetry import log, metrics
from doorward_webhooks.certificates import objects
from doorward_webhooks.certificates.metrics import Metrics
from doorward_webhooks.certificates.objects import Snapshot
from doorward_webhooks.certificates.plan import Target, Write, plan
from doorward_webhooks.certificates.recorder import Recorder
from doorward_webhooks.certificates.settings import Settings

_LOG: Final = log.get(__name__)
_RETRY_SECONDS: Final = 2.0
_SKIPPED_SECONDS: Final = 5.0
_STEPS: Final = 12
"""Rounds in a row; a first issue takes three, a full rotation never more than one step a round."""


class Connectors:
    """The services that Connector objects name, as the informer tells of them."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self.changed = asyncio.Event()

    def on_event(self, change: Change) -> None:
        """Take in one change."""
        if change.type is ChangeType.PRESENT:
            service = change.object["spec"]["service"]
            target = Target(str(service["namespace"]), str(service["name"]))
            if self._targets.get(name_of(change.object)) != target:
                self._targets[name_of(change.object)] = target
                self.changed.set()
        elif change.type is ChangeType.GONE:
            self._targets.pop(name_of(change.object), None)

    def targets(self, own: Iterable[Target]) -> list[Target]:
        """Ours and theirs, each once."""
        return sorted({*own, *self._targets.values()})


class Rotation:
    """One process's rounds."""

    def __init__(self, client: Client, settings: Settings, counted: Metrics, connectors: Connectors) -> None:
        self._client = client
        self._settings = settings
        self._metrics = counted
        self._connectors = connectors
        self.complete = False
        """Whether the last round left nothing to do."""

    async def round(self, now: datetime) -> Snapshot:
        """Read, and write until nothing is due; what was written is read back before the next step.

        Raises `ApiError` once all writes of a step were tried; a conflict is one, and the next round
        sorts it out.
        """
        for _ in range(_STEPS):
            snapshot = await objects.read(self._client, self._settings.namespace, self._targets())
            observed = snapshot.observed()
            due = plan(observed, now, self._settings.lifetimes)
            self._metrics.saw(observed, snapshot.skipped)
            if not due:
                self.complete = True
                return snapshot
            self.complete = False
            failed = [error for each in due if (error := await self._write(snapshot, each, now))]
            if failed:
                raise failed[0]
        return snapshot

    async def _write(self, snapshot: Snapshot, due: Write, now: datetime) -> ApiError | None:
        """One write; a failure is handed back, so that one Secret does not keep the others waiting."""
        kind = type(due).__name__
        try:
            await objects.write(self._client, snapshot, due, now, self._settings.lifetimes)
        except ApiError as error:
            _LOG.warning("not written", write=kind, what=str(due), error=str(error))
            return error
        self._metrics.writes.labels(kind).inc()
        _LOG.info("written", write=kind, what=str(due))
        return None

    async def run(self) -> None:
        """Go round until cancelled; errors are logged and followed by another round."""
        while True:
            self._connectors.changed.clear()
            try:
                snapshot = await self.round(datetime.now(UTC))
                pause = _SKIPPED_SECONDS if snapshot.skipped else self._settings.interval
            except ApiError as error:
                _LOG.warning("a round failed", error=str(error))
                pause = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._connectors.changed.wait()

    def _targets(self) -> list[Target]:
        namespace = self._settings.namespace
        own = (Target(namespace, "doorward-broker"), Target(namespace, "doorward-admission"))
        return self._connectors.targets(own)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Keep the certificates until `stop`. Raises `ConfigError` where there is no cluster."""
    registry = metrics.registry("certificates")
    connectors = Connectors()
    async with connect() as client:
        counted = Metrics(registry)
        rotation = Rotation(client, settings, counted, connectors)
        recorder = Recorder(client, settings.namespace, counted)
        informer = Informer(client, resources.CONNECTORS, None, connectors.on_event)

        def waits_for() -> Sequence[str]:
            return [] if rotation.complete or not settings.issue else ["every certificate to be issued"]

        async with serving.ops_listener(registry, waits_for, *settings.ops_listen):
            issuing = (informer.run(), rotation.run()) if settings.issue else ()
            work = [asyncio.create_task(item) for item in (recorder.run(), *issuing)]
            ended = asyncio.create_task(stop.wait())
            await asyncio.wait([*work, ended], return_when=asyncio.FIRST_COMPLETED)
            for task in (*work, ended):
                task.cancel()
            results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
