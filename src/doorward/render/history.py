"""The settings that pods were rendered with lately.

A task runs for up to a day, an upgrade takes a minute: what was rendered before it is still the
task's own pod. The certificates process writes down each set of settings while it is in force, in a
ConfigMap that nobody else may write; admission and broker read it. Pure: times are given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from doorward.core import strictjson
from doorward.errors import ConfigError, Refusal
from doorward.render.settings import RenderSettings

CONFIG_MAP: Final = "doorward-renderings"
"""The ConfigMap, in the release namespace."""
KEY: Final = "history.json"
"""Its one key."""
MAX_BYTES: Final = 1024 * 1024
"""What a ConfigMap can hold."""
OVERLAP: Final = timedelta(minutes=10)
"""How long settings are rendered with after they were replaced: several times a kubelet's sync period."""
KEPT: Final = timedelta(hours=25)
"""How long settings are remembered after that: more than the longest deadline of a task."""
MAX_ENTRIES: Final = 32
"""How many are remembered at most; of more, the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One set of settings: every member of `render.json` and the CA bundle."""

    since: datetime
    until: datetime | None
    """When they were replaced; None for those in force."""
    render: Mapping[str, Any]
    ca_pem: str

    def settings(self, broker_ip: str) -> RenderSettings:
        """As a renderer takes them. Raises `ConfigError` where this release does not understand them."""
        return RenderSettings.load(json.dumps(self.render).encode(), ca_pem=self.ca_pem, broker_ip=broker_ip)

    def holds(self, current: RenderSettings) -> bool:
        """Whether these are the settings."""
        return self.render == current.document() and self.ca_pem == current.ca_pem

    def document(self) -> dict[str, Any]:
        """As it is written."""
        until = None if self.until is None else self.until.isoformat()
        return {"since": self.since.isoformat(), "until": until, "render": self.render, "ca": self.ca_pem}


@dataclass(frozen=True, slots=True)
class History:
    """What was in force, the latest first."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str) -> History:
        """Read what `text` wrote; nothing at all is an empty history. Raises `ConfigError`."""
        if not text:
            return cls()
        try:
            raw: Any = strictjson.load_object(text.encode(), max_bytes=MAX_BYTES)
            return cls(tuple(_entry(item) for item in raw["entries"]))
        except Refusal as refusal:
            raise ConfigError(f"{KEY}: {refusal.detail}") from refusal
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{KEY}: {error!r}") from error

    def text(self) -> str:
        """The value of the ConfigMap's key."""
        return json.dumps({"entries": [entry.document() for entry in self.entries]}, indent=1)

    def recorded(self, current: RenderSettings, now: datetime) -> History:
        """With these settings in force; the same history when they are already and nothing is outdated."""
        kept = [entry for entry in self.entries if entry.until is None or entry.until + KEPT > now]
        if not kept or not kept[0].holds(current) or kept[0].until is not None:
            ended = [replace(entry, until=entry.until or now) for entry in kept]
            kept = [Entry(now, None, current.document(), current.ca_pem), *ended]
        found = tuple(kept[:MAX_ENTRIES])
        return self if found == self.entries else History(found)

    def at(self, made: datetime, broker_ip: str) -> tuple[RenderSettings, ...]:
        """The settings that a pod made at that time may have; what cannot be read is left out."""
        found = []
        for entry in self.entries:
            if entry.until is None or made <= entry.until + OVERLAP:
                try:
                    found.append(entry.settings(broker_ip))
                except ConfigError:  # of a release whose settings were others: its pods fit no renderer here
                    continue
        return tuple(found)


def _entry(raw: Mapping[str, Any]) -> Entry:
    if not isinstance(raw["render"], Mapping) or not isinstance(raw["ca"], str):
        msg = "an entry has render and ca"
        raise TypeError(msg)
    until = None if raw["until"] is None else _time(raw["until"])
    return Entry(_time(raw["since"]), until, raw["render"], raw["ca"])


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{text} has no time zone"
        raise ValueError(msg)
    return found.astimezone(UTC)
