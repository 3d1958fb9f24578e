"""Writes down what pods are rendered with, while it is in force.

The process that keeps the authority decides already whom pods trust; nobody else may write this.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

from doorward.errors import ConfigError
from doorward.kube import ApiError, Client, Object, resources
from doorward.render import History, RenderSettings, history
from doorward.telemetry import log
from doorward_webhooks.certificates import objects
from doorward_webhooks.certificates.metrics import Metrics

RENDER: Final = "doorward-render"
SECONDS: Final = 10.0
"""Between two looks: pods may be made with new settings for as long before they are written down."""
_NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - the broker's address is no part of what is written

_LOG: Final = log.get(__name__)


class Recorder:
    """Reads two ConfigMaps and keeps the third."""

    def __init__(self, client: Client, namespace: str, counted: Metrics) -> None:
        self._client = client
        self._namespace = namespace
        self._metrics = counted

    async def round(self, now: datetime) -> bool:
        """Write down what is in force; True when it was not written yet.

        Raises `ApiError`, also where somebody else wrote first, and `ConfigError` while there is
        nothing that a pod could be rendered with, or a history that nobody can read.
        """
        current = RenderSettings.load(
            (await self._value(RENDER, "render.json")).encode(),
            ca_pem=await self._value(objects.CONFIG_MAP, "ca.crt"),
            broker_ip=_NO_ADDRESS,
        )
        found = await self._get(history.CONFIG_MAP)
        before = History.parse(_data(found, history.KEY))
        after = before.recorded(current, now)
        if after is before:
            return False
        found["data"] = {**(found.get("data") or {}), history.KEY: after.text()}
        await self._client.replace(resources.CONFIG_MAPS, found)
        self._metrics.writes.labels("RecordSettings").inc()
        _LOG.info("render settings written down", remembered=len(after.entries))
        return True

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self.round(datetime.now(UTC))
            except (ApiError, ConfigError) as error:
                _LOG.warning("render settings not written down", error=str(error))
            await asyncio.sleep(SECONDS)

    async def _value(self, name: str, key: str) -> str:
        return _data(await self._get(name), key)

    async def _get(self, name: str) -> Object:
        return await self._client.get(resources.CONFIG_MAPS, name, self._namespace)


def _data(found: Object, key: str) -> str:
    return str((found.get("data") or {}).get(key, ""))
