"""The render settings in force, and those that were in force a moment ago.

Operator and admission read the same ConfigMaps, but the kubelet brings a new version to their pods
at different times. For that long a pod of either version is what the operator would make. What this
process has not seen itself, because an upgrade started it anew, it knows from the history.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from doorward.errors import ConfigError
from doorward.render import History, RenderSettings
from doorward.render.history import OVERLAP
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
OVERLAP_SECONDS: Final = OVERLAP.total_seconds()
"""How long the settings before the current ones are accepted."""
_PLACEHOLDER: Final = "0.0.0.0"  # noqa: S104 - stands for the address until the name is looked up

Resolve = Callable[[str], str]
"""Host name to IP address. Raises `OSError`."""


class Renderings:
    """Settings from `render.json`, the CA bundle and the broker's address, read again and again."""

    def __init__(
        self,
        render_file: Path,
        ca_file: Path,
        history_file: Path,
        broker_ip: str,
        *,
        resolve: Resolve | None = None,
        clock: Callable[[], float] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._files = (render_file, ca_file)
        self._history_file = history_file
        self._broker_ip = broker_ip
        self._resolve = resolve or _address
        self._clock = clock or asyncio.get_running_loop().time
        self._now = now or (lambda: datetime.now(UTC))
        self._complaint = ""
        self._earlier: Sequence[RenderSettings] = ()
        """What the history says was in force lately."""
        self._found: list[tuple[RenderSettings, float]] = []
        """Current first; with the moment at which each was replaced, infinity for the current one."""

    def current(self) -> Sequence[RenderSettings]:
        """What pods may be rendered with now, the current settings first; empty before the first reading."""
        now = self._clock()
        found = [settings for settings, until in self._found if until > now]
        return [*found, *(settings for settings in self._earlier if settings not in found)] if found else []

    def refresh(self) -> bool:
        """Read everything. True when it changed; what cannot be read leaves things as they were."""
        try:
            settings = self._read()
        except (ConfigError, OSError) as error:
            _LOG.warning("render settings cannot be read", why=str(error))
            return False
        self._earlier = self._remembered(settings.broker_ip)
        if self._found and self._found[0][0] == settings:
            return False
        until = self._clock() + OVERLAP_SECONDS
        earlier = [(item, min(end, until)) for item, end in self._found if item != settings]
        self._found = [(settings, float("inf")), *earlier]
        return True

    async def watch(self, interval: float = 5.0) -> None:
        """Refresh for ever."""
        while True:
            if await asyncio.to_thread(self.refresh):
                _LOG.info("render settings read")
            await asyncio.sleep(interval)

    def _remembered(self, broker_ip: str) -> Sequence[RenderSettings]:
        """What the history says; nothing while there is none. What is wrong with it is said once."""
        found: Sequence[RenderSettings] = ()
        try:
            text = self._history_file.read_text() if self._history_file.exists() else ""
            found, complaint = History.parse(text).at(self._now(), broker_ip), ""
        except (ConfigError, OSError) as error:
            complaint = str(error)
        if complaint and complaint != self._complaint:
            _LOG.warning("the history of render settings cannot be read", why=complaint)
        self._complaint = complaint
        return found

    def _read(self) -> RenderSettings:
        document, ca_pem = (path.read_bytes() for path in self._files)
        settings = RenderSettings.load(
            document, ca_pem=ca_pem.decode(), broker_ip=self._broker_ip or _PLACEHOLDER
        )
        if self._broker_ip:
            return settings
        return dataclasses.replace(settings, broker_ip=self._resolve(settings.broker_host))


def _address(host: str) -> str:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
