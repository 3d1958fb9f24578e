"""Reading a catalogue: JSON in, action types and native routes out, nothing taken on trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from doorward.core import digest, schemacheck
from doorward.core.action import ActionType, NativeRoute, Use
from doorward.core.effect import Effect
from doorward.errors import ConfigError

TYPES: Final = ("forge",)
"""Connector types with a catalogue."""

_ROOM: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A variable part of a route."""

    argument: str
    rest: bool = False
    """Whether it takes all remaining segments (`{name+}`)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A native route, ready to be matched."""

    action: str
    method: str
    template: str
    parts: tuple[str | Place, ...]
    """Literal segments and places, in order."""
    query: Mapping[str, str]
    body: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The vocabulary of one connector type."""

    type: str
    hash: str
    """Digest of the document in canonical form; pinned in `Connector.spec.catalogueHash`."""
    actions: Mapping[str, ActionType]
    prefixes: tuple[tuple[str, ...], ...]
    """Leading segments that clients of a provider add and that mean nothing."""
    routes: tuple[Route, ...]


@cache
def load(type_: str) -> Catalogue:
    """The catalogue of a connector type. Raises `ConfigError` that names the known types."""
    if type_ not in TYPES:
        raise ConfigError(f"no catalogue for connector type {type_!r}; known: {', '.join(TYPES)}")
    text = files("doorward.catalogue").joinpath("data", f"{type_}.json").read_bytes()
    return parse(json.loads(text))


def parse(document: Mapping[str, Any]) -> Catalogue:
    """A catalogue from its document. Raises `ValueError` where the document contradicts itself."""
    shared = {name: _named_pattern(schema) for name, schema in document["arguments"].items()}
    actions = {name: _action(name, entry, shared) for name, entry in document["actions"].items()}
    for action in actions.values():
        _verify(action)
    return Catalogue(
        type=document["type"],
        hash=digest.of_json(dict(document)),
        actions=actions,
        prefixes=tuple(tuple(prefix.split("/")[1:]) for prefix in document["prefixes"]),
        routes=tuple(_route(action.name, native) for action in actions.values() for native in action.native),
    )


def _named_pattern(schema: Mapping[str, Any]) -> dict[str, Any]:
    if "pattern" not in schema:
        return dict(schema)
    return {**schema, "pattern": schemacheck.PATTERNS[schema["pattern"]]}


def _action(name: str, entry: Mapping[str, Any], shared: Mapping[str, Any]) -> ActionType:
    names = [*entry["required"], *entry.get("optional", ())]
    return ActionType(
        name=name,
        effect=Effect(entry["effect"]),
        summary=entry["summary"],
        arguments={
            "type": "object",
            "additionalProperties": False,
            "required": entry["required"],
            "properties": {argument: shared[argument] for argument in names},
        },
        resource=entry["resource"],
        enforces=frozenset(entry["enforces"]),
        native=tuple(NativeRoute(**native) for native in entry.get("native", ())),
        runs_ci=entry.get("runsCi", False),
        uses={unit: Use(**use) for unit, use in entry.get("uses", {}).items()},
        makes=entry.get("makes"),
    )


def _verify(action: ActionType) -> None:
    schemacheck.verify(action.arguments, action.name)
    unheld = action.enforces - set(action.resource)
    if unheld:
        msg = f"{action.name} cannot enforce {sorted(unheld)}: its arguments do not name them"
        raise ValueError(msg)
    for native in action.native:
        _verify_route(action, native)


def _verify_route(action: ActionType, native: NativeRoute) -> None:
    known = set(_properties(action))
    places = [part.argument for part in _parts(native.path) if isinstance(part, Place)]
    named = [*places, *set(native.query.values()), *native.body.values()]
    if not set(named) <= known or len(set(named)) != len(named):
        msg = f"{action.name}: {native.path} names an argument that is unknown or comes from two places"
        raise ValueError(msg)
    if native.body and native.method in {"GET", "HEAD"}:
        msg = f"{action.name}: {native.method} has no body"
        raise ValueError(msg)


def _properties(action: ActionType) -> Mapping[str, Any]:
    properties = action.arguments["properties"]
    return properties if isinstance(properties, Mapping) else {}


def _route(action: str, native: NativeRoute) -> Route:
    return Route(action, native.method, native.path, tuple(_parts(native.path)), native.query, native.body)


def _parts(path: str) -> Iterator[str | Place]:
    for segment in path.split("/")[1:]:
        if segment.startswith("{"):
            name = segment[1:-1]
            yield Place(name.removesuffix("+"), rest=name.endswith("+"))
        else:
            yield segment
