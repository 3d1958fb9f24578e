"""What a broker finds when it starts: the ledger, its last heartbeat, and what runs in the cluster."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from doorward.broker import epochs, heartbeat
from doorward.broker.settings import Settings
from doorward.core.clock import system
from doorward.kube import ApiError, Client, resources
from doorward.ledger import Epoch, Ledger
from doorward.telemetry import log
from doorward.tokens.keys import SigningKeys

_SAID_SECONDS: Final = 10.0
"""How long the broker that began an epoch may take to say so outside of the ledger."""
_AGAIN_SECONDS: Final = 1.0
_LOG: Final = log.get(__name__)


async def epoch(settings: Settings, ledger: Ledger, keys: SigningKeys, api: Client) -> Epoch:
    """The epoch in force, told to the world outside of the ledger before anything else is done in it."""
    deadline = time.monotonic() + _SAID_SECONDS
    while True:
        left = heartbeat.anchor_of(await _last_beat(api, settings.namespace))
        found = await ledger.epoch()
        # Another broker may have begun one a moment ago, and not have said so yet.
        behind = ledger.shared and found is not None and left is not None and left[0] != found.id
        if behind and time.monotonic() < deadline:
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        lived = found is None and left is None and await _agents_run(api)
        begun = await epochs.establish(ledger, keys, settings.issuer, left, system(), lived=lived)
        if begun != found:
            text = heartbeat.anchor_text(begun.id, await ledger.head())
            await api.apply(
                resources.LEASES, heartbeat.lease(settings.namespace, text), manager=heartbeat.NAME
            )
        return begun


async def _last_beat(api: Client, namespace: str) -> dict[str, object] | None:
    """The Lease that the last process left; asked for until there is an answer."""
    while True:
        try:
            return await api.find(resources.LEASES, heartbeat.NAME, namespace)
        except ApiError as error:
            _LOG.warning("the last heartbeat was not read", error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)


async def _agents_run(api: Client) -> bool:
    """Whether any task's agent runs; asked until there is an answer."""
    while True:
        try:
            pages = [page async for page in api.pages(resources.AGENT_TASKS)]
        except ApiError as error:
            _LOG.warning("the tasks were not read", error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return any(epochs.runs(task) for page in pages for task in page.items)
