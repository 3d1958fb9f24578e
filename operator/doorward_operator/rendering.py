"""The render settings as they are now: files that the kubelet updates, and the broker's address."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final

from doorward.core import strictjson
from doorward.errors import ConfigError, Refusal
from doorward.render import RenderSettings
from doorward.render.settings import MAX_BYTES
from doorward_operator.settings import Settings

REFRESH_SECONDS: Final = 10.0
_BROKER: Final = "doorward-broker.doorward-system.svc"


class Rendering:
    """Reads the settings and keeps the last good ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._current: RenderSettings | None = None
        self.problem = "the render settings"
        """What is waited for; empty once there are settings."""

    def current(self) -> RenderSettings:
        """The settings. Raises `ConfigError` while there are none."""
        if self._current is None:
            raise ConfigError(self.problem)
        return self._current

    async def refresh(self) -> bool:
        """Read again; True when the settings are new. What is broken is reported and not used."""
        try:
            found = await self._read()
        except (ConfigError, OSError) as error:
            self.problem = f"the render settings: {error}" if self._current is None else ""
            return False
        changed, self._current, self.problem = found != self._current, found, ""
        return changed

    def _files(self) -> tuple[bytes, str]:
        return Path(self._settings.render_file).read_bytes(), Path(self._settings.ca_file).read_text()

    async def _read(self) -> RenderSettings:
        document, ca_pem = await asyncio.to_thread(self._files)
        address = self._settings.broker_ip or await _resolved(_host(document))
        return RenderSettings.load(document, ca_pem=ca_pem, broker_ip=address)


def _host(document: bytes) -> str:
    try:
        found = strictjson.load_object(document, max_bytes=MAX_BYTES).get("brokerHost", _BROKER)
    except Refusal as refusal:
        raise ConfigError(refusal.detail) from refusal
    return str(found)


async def _resolved(host: str) -> str:
    """One address: the ClusterIP of a Service."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(min(address[4][0] for address in found))
