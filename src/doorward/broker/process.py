"""The broker put together: settings in, two listeners out."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry

from doorward import serving
from doorward.broker import beginning, heartbeat
from doorward.broker.canaries import Canaries
from doorward.broker.children import Children
from doorward.broker.clerk import Clerk
from doorward.broker.cluster import Cluster, Live
from doorward.broker.conduct import Conduct, standing_of
from doorward.broker.counting import Counter
from doorward.broker.decisions import Decider, Effects, Issuing
from doorward.broker.doors import Doors
from doorward.broker.excess import Excess
from doorward.broker.facts import Facts
from doorward.broker.gathering import Gatherer
from doorward.broker.grading import NEVER, Steps, Thresholds
from doorward.broker.hands import HandsRoutes, public_routes
from doorward.broker.heartbeat import Heartbeat
from doorward.broker.informers import Feed
from doorward.broker.keyring import KeyRing
from doorward.broker.keyshare import KeyShare
from doorward.broker.metrics import Metrics
from doorward.broker.opening import Opener
from doorward.broker.parking import Parking
from doorward.broker.people import People
from doorward.broker.places import Places, by_dns
from doorward.broker.redemptions import Callers, Redeemer
from doorward.broker.renderings import Renderings
from doorward.broker.sessions import Sessions
from doorward.broker.settings import Settings
from doorward.broker.upstream import Reader, Upstream
from doorward.core.clock import Clock, system
from doorward.errors import ConfigError, Refusal
from doorward.kube import Client, connect
from doorward.ledger import Epoch, Ledger, LedgerUnusable
from doorward.render import RenderSettings
from doorward.serving import App, Buckets, Limits
from doorward.telemetry import log, metrics

T = TypeVar("T")

_trusting = functools.lru_cache(maxsize=2)(serving.client_context)
"""One context for a bundle: connections are kept by context."""

_LOG: Final = log.get(__name__)
_SWEEP_SECONDS: Final = 5.0
_KEYS_SECONDS: Final = 3600.0
_GUARD_SECONDS: Final = 0.5


@dataclass
class Broker:
    """Everything but the edges: no socket, no API server."""

    settings: Settings
    registry: CollectorRegistry
    ledger: Ledger
    keyring: KeyRing
    epoch: Epoch
    cluster: Cluster
    renderings: Callable[[dt.datetime], Sequence[RenderSettings]]
    places: Places
    clock: Clock = system

    def __post_init__(self) -> None:
        settings = self.settings
        self.metrics = Metrics(self.registry)
        self.facts = Facts(settings.namespace)
        self.sessions = Sessions(self.clock)
        self.heartbeat = Heartbeat(settings.heartbeat_seconds)
        self.canaries = Canaries(settings.canaries)
        self.effects = Effects()
        self.conduct = self._conduct()
        self.gatherer = Gatherer(self.facts, self.sessions, self.ledger, self.conduct, self.clock)
        user = f"system:serviceaccount:{settings.namespace}:doorward-broker"
        parking = Parking(self.cluster, self.ledger, user)
        self.clerk = Clerk(
            facts=self.facts,
            ledger=self.ledger,
            parking=parking,
            counter=Counter(self.cluster, self.facts.enrolled),
            gatherer=self.gatherer,
            metrics=self.metrics,
            clock=self.clock,
            current=lambda: self.heartbeat.current,
        )
        self.people = People(self.ledger, parking, self.clerk)
        self.keyshare = KeyShare(self.ledger, self.keyring, settings.issuer, self.clock)
        self.ledger.serve(self.epoch.id)
        self.upstream = Upstream(
            reader=Reader(settings.issuer, self.epoch.id, settings.namespace),
            ledger=self.ledger,
            places=self.places,
            clock=self.clock,
            remember=self.effects.remember,
            trusted=self._trusted,
        )
        self.metrics.watch(lambda: len(self.sessions), lambda: self.heartbeat.age)

    def _trusted(self) -> ssl.SSLContext:
        """Who is believed to be a connector: whom doors of pods made now would believe."""
        now = dt.datetime.fromtimestamp(self.clock(), dt.UTC)
        return _trusting(self.renderings(now)[0].ca_pem)

    def doors(self) -> App:
        """The listener for doors."""
        settings = self.settings
        rate, burst = settings.requests_per_second, settings.request_burst
        peers = Buckets(2 * rate, 2 * burst)  # before a proof is read, so wider than a session's own
        decider = self._decider()
        doors = Doors(
            sessions=self.sessions,
            opener=self._opener(),
            decider=decider,
            kin=Children(self.facts, self.ledger, self.cluster, decider),
            ledger=self.ledger,
            facts=self.facts,
            heartbeat=self.heartbeat,
            canaries=self.canaries,
            places=self.places,
            metrics=self.metrics,
            keys=lambda: self.keyring.keys,
            clock=self.clock,
            openings=Buckets(settings.openings_per_minute / 60, 10),
            peers=peers,
            calls=Buckets(rate, burst),
            conduct=self.conduct,
        )
        return self._app([*doors.routes(), *self._public(peers)], 64)

    def hands(self) -> App:
        """The listener for connectors."""
        rate = self.settings.connector_requests_per_second
        peers = Buckets(rate, max(1, int(rate)))
        routes = HandsRoutes(
            callers=Callers(self.cluster, self.facts, self.clock),
            redeemer=Redeemer(
                facts=self.facts,
                cluster=self.cluster,
                ledger=self.ledger,
                metrics=self.metrics,
                clock=self.clock,
                effects=self.effects,
                over=self.sessions.over,
                conduct=self.conduct,
                issuer=self.settings.issuer,
                epoch=self.epoch.id,
            ),
            heartbeat=self.heartbeat,
            keys=lambda: self.keyring.keys,
            clock=self.clock,
            peers=peers,
        )
        return self._app([*routes.routes(), *self._public(peers)], 256)

    async def load(self) -> None:
        """Take over what the ledger holds."""
        reader = self.ledger.reader
        rows = await asyncio.to_thread(reader.tasks)
        for row in rows:
            if row.state == "live":
                held = standing_of(row.grade, row.cause, row.story, row.graded_until)
                self.conduct.restore(row.uid, held)
        # With several brokers each session is read when its door calls: another may hear of its fence.
        found = [] if self.ledger.shared else await asyncio.to_thread(reader.open_sessions)
        self.sessions.load(rows, found)

    async def anchor(self) -> str:
        """What the heartbeat keeps outside the ledger."""
        return heartbeat.anchor_text(self.epoch.id, await self.ledger.head())

    async def guard(self) -> None:
        """Raise `ConfigError` when the ledger is not the one that this process began with."""
        while self.ledger.lost is None:  # noqa: ASYNC110 - the writer's thread knows no events of the loop
            await asyncio.sleep(_GUARD_SECONDS)
        raise ConfigError(f"the ledger is lost to this process, which has to start again: {self.ledger.lost}")

    async def sweep(self) -> None:
        """Settle lost outcomes for ever."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                for connector in await self.ledger.sweep():
                    self.metrics.outcome(connector, "lost")
            except Refusal as refusal:
                _LOG.warning("lost outcomes were not swept", why=str(refusal))

    async def rotate(self) -> None:
        """Look after the signing keys for ever."""
        while True:
            await asyncio.sleep(_KEYS_SECONDS)
            try:
                await asyncio.to_thread(self.keyring.refresh)
            except OSError as error:
                _LOG.error("the signing keys were not looked after", error=str(error))

    def _conduct(self) -> Conduct:
        settings = self.settings
        return Conduct(
            ledger=self.ledger,
            metrics=self.metrics,
            clock=self.clock,
            thresholds=Thresholds(
                denials=settings.denial_steps,
                denied=Steps(NEVER, NEVER, settings.max_denials + 1),
                bursts=settings.burst_steps,
                replays=settings.replay_steps,
            ),
            hold_seconds=settings.grade_seconds,
            slow_factor=settings.slow_factor,
            max_denials=settings.max_denials,
            denials=Excess(settings.denials_written),
            refusals=Excess(settings.refusals_written),
            freeze=self.sessions.freeze,
            written=self.sessions.written,
            lives=lambda uid: uid in self.sessions.roles,
        )

    def _app(self, routes: list[serving.Route], per_peer: int) -> App:
        limits = Limits(body_bytes=self.settings.max_body, connections_per_peer=per_peer)
        return serving.app(routes, limits, self.metrics.answered)

    def _public(self, peers: Buckets) -> list[serving.Route]:
        return public_routes(self.settings.issuer, lambda: self.keyring.keys, peers, self.clock)

    def _opener(self) -> Opener:
        return Opener(
            cluster=self.cluster,
            facts=self.facts,
            ledger=self.ledger,
            renderings=self.renderings,
            pinned=self.gatherer.pinned,
            clock=time.monotonic,
            wait_seconds=self.settings.kubelet_seconds,
        )

    def _decider(self) -> Decider:
        settings = self.settings
        return Decider(
            facts=self.facts,
            sessions=self.sessions,
            gatherer=self.gatherer,
            ledger=self.ledger,
            issuing=Issuing(settings.issuer, self.epoch.id, settings.max_denials),
            metrics=self.metrics,
            effects=self.effects,
            people=self.people,
            conduct=self.conduct,
            upstream=self.upstream,
        )


async def serve(
    settings: Settings, stop: asyncio.Event, client: Client | None = None, places: Places | None = None
) -> None:
    """Serve until `stop`; then finish what runs. Raises `ConfigError` that names the setting at fault.

    `client` and `places` are given where the process does not run in the cluster.
    """
    registry = metrics.registry("broker")
    certificates = serving.tls_context(settings.tls_certificate, settings.tls_key)
    waiting: list[Callable[[], Sequence[str]]] = [
        lambda: [] if certificates.loaded else ["a certificate"],
    ]
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect()) if client is None else client
        starting = ["the start"]
        waiting.append(lambda: starting)
        await stack.enter_async_context(
            serving.ops_listener(
                registry, lambda: [why for ask in waiting for why in ask()], *settings.ops_listen
            )
        )
        broker = await _unless(stop, start(settings, registry, api, places or Places()))
        if broker is None:
            return
        stack.callback(broker.ledger.close)
        stack.push_async_callback(broker.upstream.close)
        feed = Feed(api, broker.facts, broker.sessions, broker.ledger, broker.conduct)
        feed.serve(broker.clerk)
        feed.live = [row for row in broker.ledger.reader.tasks() if row.state == "live"]
        waiting += [feed.missing, lambda: _unhealthy(broker)]
        async with asyncio.TaskGroup() as group:
            work = [
                group.create_task(item)
                for item in (
                    feed.run(broker.heartbeat),
                    broker.heartbeat.run(api, settings.namespace),
                    heartbeat.keep_anchor(api, settings.namespace, broker.anchor),
                    broker.conduct.run(),
                    broker.canaries.run(),
                    broker.clerk.run(feed.is_filled),
                    broker.sweep(),
                    broker.guard(),
                    broker.rotate(),
                    *([broker.keyshare.run()] if broker.ledger.shared else []),
                    certificates.watch(),
                )
            ]
            starting.clear()
            await _unless(stop, certificates.ready())
            await _unless(stop, feed.filled())
            await _unless(stop, broker.keyshare.known())
            await _listen(broker, certificates, stop)
            broker.conduct.look(everything=True)
            await _attempted(broker.conduct.settle())
            for item in work:
                item.cancel()


async def _listen(broker: Broker, certificates: serving.Certificates, stop: asyncio.Event) -> None:
    settings, tls = broker.settings, certificates.context
    drain = settings.drain_seconds
    async with (
        serving.listening(broker.doors(), *settings.listen, tls, drain) as doors,
        serving.listening(broker.hands(), *settings.connectors_listen, tls, drain) as hands,
    ):
        _LOG.info("listening", doors=doors.port, connectors=hands.port, epoch=broker.epoch.id)
        await stop.wait()


async def start(settings: Settings, registry: CollectorRegistry, api: Client, places: Places) -> Broker:
    """The broker with its ledger, in the epoch in force. Raises `ConfigError`."""
    keyring = KeyRing(settings.keys, settings.key_days, system, settings.checkpoint_key)
    observer = _Late()
    try:
        ledger = await asyncio.to_thread(Ledger, settings.ledger, system, observer)
    except LedgerUnusable as error:
        name = "DOORWARD_LEDGER_FILE" if settings.ledger_file else "DOORWARD_LEDGER_URL"
        raise ConfigError(f"{name}: the ledger cannot be opened: {error}") from error
    try:
        epoch = await beginning.epoch(settings, ledger, keyring.checkpoint, api)
        address = settings.broker_ip or await _own_address(settings)
        broker = Broker(
            settings=settings,
            registry=registry,
            ledger=ledger,
            keyring=keyring,
            epoch=epoch,
            cluster=Live(api),
            renderings=Renderings(settings.render_file, settings.ca_file, settings.history_file, address),
            places=places,
        )
        observer.metrics = broker.metrics
        await broker.load()
        if ledger.shared:
            await broker.keyshare.publish()
            await broker.keyshare.learn()
    except BaseException:
        ledger.close()
        raise
    return broker


async def _own_address(settings: Settings) -> str:
    """ClusterIP of the broker's own Service, which pods are rendered with."""
    name = f"doorward-broker.{settings.namespace}.svc"
    while True:
        try:
            return await by_dns(name, settings.listen[1])
        except OSError as error:
            _LOG.warning("the broker's own Service has no address yet", name=name, error=str(error))
            await asyncio.sleep(1.0)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives, or None when `stop` comes first."""
    doing, ending = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if doing.done():
        return doing.result()
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return None


async def _attempted(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Refusal as refusal:
        _LOG.warning("what tasks did last is not written down", why=str(refusal))


def _unhealthy(broker: Broker) -> list[str]:
    found = [] if broker.ledger.healthy else ["the ledger"]
    return found + ([] if broker.heartbeat.age <= broker.settings.heartbeat_seconds else ["the heartbeat"])


class _Late:
    """The ledger's observer: the ledger is there before the metrics that know its epoch."""

    metrics: Metrics | None = None

    def committed(self, seconds: float, size: int) -> None:
        """See `Observer`."""
        if self.metrics is not None:
            self.metrics.committed(seconds, size)

    def failed(self) -> None:
        """See `Observer`."""
        if self.metrics is not None:
            self.metrics.failed()
