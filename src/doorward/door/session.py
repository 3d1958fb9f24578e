"""What the broker tells a door when it opens a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal


@dataclass(frozen=True, slots=True)
class Connector:
    """Where the hands for one connector are, and how to know them."""

    name: str
    type: str
    catalogue_hash: str
    audience: str
    url: str
    """With an address instead of a name: the pod resolves nothing."""
    server_name: str
    """The name its certificate must have."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A listener that this pod must not be able to reach."""

    name: str
    host: str
    port: int
    protocol: str
    alive: bool
    """Whether the broker reached it a moment ago; a dead one proves nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session."""

    id: str
    task: JsonObject
    connectors: Mapping[str, Connector]
    canaries: tuple[Canary, ...]


def read(document: Json) -> Session:
    """The session in the broker's answer. Raises `Refusal(unavailable)` for any other shape."""
    match document:
        case {"session": str(id_), "task": {} as task, "connectors": [*connectors]}:
            found = [_connector(item) for item in connectors]
            return Session(id_, task, {item.name: item for item in found}, canaries(document))
    raise _misshapen("session")


def canaries(document: Json) -> tuple[Canary, ...]:
    """The canaries in the broker's answer. Raises `Refusal(unavailable)` for any other shape."""
    match document:
        case {"canaries": [*items]}:
            return tuple(_canary(item) for item in items)
    raise _misshapen("list of canaries")


def _connector(item: Json) -> Connector:
    match item:
        case {
            "name": str(name),
            "type": str(type_),
            "catalogueHash": str(catalogue_hash),
            "audience": str(audience),
            "url": str(url),
            "serverName": str(server_name),
        }:
            return Connector(name, type_, catalogue_hash, audience, url, server_name)
    raise _misshapen("connector")


def _canary(item: Json) -> Canary:
    match item:
        case {
            "name": str(name),
            "host": str(host),
            "port": int(port),
            "protocol": "tcp" | "udp" as protocol,
            "alive": bool(alive),
        }:
            return Canary(name, host, port, protocol, alive)
    raise _misshapen("canary")


def _misshapen(what: str) -> Refusal:
    return Refusal(Code.UNAVAILABLE, f"the broker's {what} does not have the agreed shape")
