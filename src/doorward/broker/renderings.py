"""What the pod of a door may be rendered with: read anew for each opening, since the files change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from doorward.errors import ConfigError
from doorward.render import History, RenderSettings
from doorward.telemetry import log

_LOG: Final = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Renderings:
    """Files that the kubelet keeps current, and the broker's own address."""

    render_file: Path
    ca_file: Path
    history_file: Path
    address: str

    def __call__(self, made: dt.datetime) -> Sequence[RenderSettings]:
        """For a pod made at that time, the settings in force now first.

        Without a readable history, those alone: fewer pods are believed, never more. Raises `ConfigError`.
        """
        try:
            document, bundle = self.render_file.read_bytes(), self.ca_file.read_text()
        except OSError as error:
            raise ConfigError(f"the render settings cannot be read: {error}") from error
        current = RenderSettings.load(document, ca_pem=bundle, broker_ip=self.address)
        return [current, *(found for found in self._earlier(made) if found != current)]

    def _earlier(self, made: dt.datetime) -> Sequence[RenderSettings]:
        try:
            text = self.history_file.read_text() if self.history_file.exists() else ""
            return History.parse(text).at(made, self.address)
        except (ConfigError, OSError) as error:
            _LOG.warning("the history of render settings cannot be read", why=str(error))
            return ()
