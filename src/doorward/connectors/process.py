"""A connector put together: settings in, a running gate out."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry

from doorward import catalogue, serving
from doorward.connectors import credentials, forge
from doorward.connectors.admission import Identity
from doorward.connectors.app import connector_app
from doorward.connectors.broker import Broker
from doorward.connectors.gate import Gate, Verb
from doorward.connectors.keyring import Keyring
from doorward.connectors.metrics import Metrics
from doorward.connectors.outcomes import Outcomes
from doorward.connectors.settings import Settings
from doorward.connectors.trust import Trust, upstream_context
from doorward.connectors.upstream import Dialect, Upstream
from doorward.errors import ConfigError
from doorward.serving import Buckets
from doorward.telemetry import log, metrics

_TYPES: Final[Mapping[str, Mapping[str, Mapping[str, Verb]]]] = {"forge": forge.VERBS}
"""Type -> provider -> action -> how it is carried out."""

DRAIN_SECONDS: Final = 40.0
"""Time after SIGTERM for what is being carried out, also for callers that hung up: longer than redemption,
upstream and outcome together."""

LAST_WORDS_SECONDS: Final = 5.0
"""Time after that for outcomes that the broker has not heard. Both together are less than the pod's grace."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`; what is being carried out then is finished and reported.

    Raises `ConfigError` that names the setting at fault.
    """
    registry = metrics.registry("connector")
    certificates = serving.tls_context(settings.tls_certificate, settings.tls_key)
    async with running_gate(settings, registry) as gate:

        def waits_for() -> Sequence[str]:
            missing = {"the broker's keys": gate.keyring.keys, "a certificate": certificates.loaded}
            return [name for name, there in missing.items() if not there]

        async with serving.ops_listener(registry, waits_for, *settings.ops_listen):
            rotation = asyncio.create_task(certificates.watch())
            await _first(certificates.ready(), stop.wait())
            host, port = settings.listen
            peers = Buckets(settings.requests_per_second, settings.request_burst)
            app = connector_app(gate, peers)
            listener = serving.listening(app, host, port, certificates.context, DRAIN_SECONDS)
            async with listener as bound:
                log.get(__name__).info("listening", connector=settings.connector, port=bound.port)
                await stop.wait()
            await _cancel(rotation)


@asynccontextmanager
async def running_gate(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[Gate]:
    """The gate with its clients and background work; leaving it tells the broker what is untold.

    Raises `ConfigError` that names the setting at fault.
    """
    verbs, identity = _verbs(settings), _identity(settings)
    credential = credentials.load(settings.credential_file)
    dialect, upstream_tls, broker_tls = _dialect(settings), _upstream_tls(settings), _broker_tls(settings)
    broker = Broker(settings.broker_url, broker_tls, settings.token_file)
    upstream = Upstream(
        dialect,
        credential,
        tls=upstream_tls,
        seconds=settings.upstream_seconds,
        max_response=settings.max_response,
        connections=settings.concurrency,
    )
    outcomes = Outcomes(broker.report)
    gate = Gate(
        identity=identity,
        verbs=verbs,
        keyring=Keyring(broker.keys),
        redeem=broker.redeem,
        upstream=upstream,
        outcomes=outcomes,
        metrics=Metrics(registry, settings.connector),
        concurrency=settings.concurrency,
    )
    gate.metrics.watch_waiting(lambda: outcomes.waiting)
    background = [asyncio.create_task(work) for work in (gate.keyring.watch(), outcomes.run())]
    try:
        yield gate
    finally:
        await _cancel(*background)
        await _last_words(outcomes)
        await upstream.close()
        await broker.close()


async def _last_words(outcomes: Outcomes) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await outcomes.flush()
    if outcomes.waiting:
        log.get(__name__).error(
            "outcomes left untold; the broker will call them unknown", count=outcomes.waiting
        )


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first(*works: object) -> None:
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await _cancel(*pending)


def _verbs(settings: Settings) -> Mapping[str, Verb]:
    providers = _TYPES.get(settings.type)
    if providers is None:
        msg = f"DOORWARD_CONNECTOR_TYPE: must be one of {', '.join(_TYPES)}"
        raise ConfigError(msg)
    if settings.provider not in providers:
        msg = f"DOORWARD_PROVIDER: must be one of {', '.join(providers)}"
        raise ConfigError(msg)
    return providers[settings.provider]


def _identity(settings: Settings) -> Identity:
    declared = catalogue.load(settings.type)
    return Identity(settings.connector, settings.audience, settings.issuer, declared.actions)


def _dialect(settings: Settings) -> Dialect:
    if settings.upstream.startswith("http://") and not settings.upstream_plaintext:
        msg = "DOORWARD_UPSTREAM: an http upstream gets the credential in clear; use https, or say so"
        raise ConfigError(f"{msg} with DOORWARD_UPSTREAM_PLAINTEXT=true")
    return forge.dialect(settings.provider, settings.upstream)


def _broker_tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    trust = Trust(settings.ca_file, serving.client_context)
    try:
        trust.current()
    except (OSError, ValueError) as error:
        raise ConfigError(f"DOORWARD_CA_FILE: {error}") from None
    return trust.current


def _upstream_tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    if settings.upstream_ca is None:
        system = upstream_context(None)
        return lambda: system
    trust = Trust(settings.upstream_ca, upstream_context)
    try:
        trust.current()
    except (OSError, ValueError) as error:
        raise ConfigError(f"DOORWARD_UPSTREAM_CA: {error}") from None
    return trust.current
