"""From the request of an existing client to the one action it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from doorward.catalogue import target
from doorward.catalogue.document import Catalogue, Place, Route
from doorward.core import schemacheck, strictjson
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

MAX_BODY: Final = 1024 * 1024
"""Bytes of a native request's body."""

_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NativeCall:
    """What a native request means: an action of the catalogue with its arguments."""

    action: str
    args: dict[str, Json]


def translate(catalogue: Catalogue, method: str, raw_target: str, body: bytes = b"") -> NativeCall:
    """The action that the request means.

    `raw_target` is the target as received, still percent-encoded, below the connector's mount point.
    Raises `Refusal`: `malformed` for two readings, `unknown_action` for no route, `arguments_invalid`
    for values outside the action's schema.
    """
    wanted = target.parse(raw_target)
    route, values = _find(catalogue, method, _below_prefix(catalogue, wanted.segments))
    schema = catalogue.actions[route.action].arguments
    properties: Any = schema["properties"]
    args = {name: _typed(name, text, properties[name]) for name, text in values.items()}
    _add(args, _named(wanted.query, route.query, "query parameter"), properties)
    args |= _named(_members(route, body), route.body, "body member")
    found = schemacheck.fault(schema, args)
    if found:
        raise Refusal(Code.ARGUMENTS_INVALID, found, allowed=f"the arguments of {route.action}")
    return NativeCall(route.action, args)


def match(route: Route, segments: tuple[str, ...]) -> dict[str, str] | None:
    """The text in each place of the route, or None when the path is another one."""
    values: dict[str, str] = {}
    for index, part in enumerate(route.parts):
        if isinstance(part, Place) and part.rest:
            rest = segments[index:]
            return {**values, part.argument: "/".join(rest)} if rest else None
        if index >= len(segments):
            return None
        if isinstance(part, Place):
            values[part.argument] = segments[index]
        elif part != segments[index]:
            return None
    return values if len(segments) == len(route.parts) else None


def _below_prefix(catalogue: Catalogue, segments: tuple[str, ...]) -> tuple[str, ...]:
    for prefix in catalogue.prefixes:
        if segments[: len(prefix)] == prefix:
            return segments[len(prefix) :]
    return segments


def _find(catalogue: Catalogue, method: str, segments: tuple[str, ...]) -> tuple[Route, dict[str, str]]:
    reached = [
        (route, values) for route in catalogue.routes if (values := match(route, segments)) is not None
    ]
    found = [(route, values) for route, values in reached if route.method == method]
    if len(found) == 1:
        return found[0]
    routes = [route for route, _ in reached] or catalogue.routes
    raise Refusal(
        Code.UNKNOWN_ACTION,
        f"{method} on this path means no action of the {catalogue.type} vocabulary",
        allowed=", ".join(f"{route.method} {route.template}" for route in routes),
        ask="GET /v1/actions lists what exists for this task",
        status=405 if reached else 404,
    )


def _named(given: Mapping[str, Json], known: Mapping[str, str], what: str) -> dict[str, Json]:
    args: dict[str, Json] = {}
    for name, value in given.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise Refusal(Code.MALFORMED, f"the {what} {name!r} is not known here", allowed=allowed)
        if known[name] in args:
            raise Refusal(Code.MALFORMED, f"two names for the argument {known[name]!r}", allowed=known[name])
        args[known[name]] = value
    return args


def _add(args: dict[str, Json], texts: Mapping[str, Json], properties: Mapping[str, Any]) -> None:
    for name, text in texts.items():
        args[name] = _typed(name, str(text), properties[name])


def _members(route: Route, body: bytes) -> dict[str, Json]:
    if not body:
        return {}
    if not route.body:
        raise Refusal(Code.MALFORMED, f"{route.action} takes no body", allowed="an empty body")
    return strictjson.load_object(body, max_bytes=MAX_BODY)


def _typed(name: str, text: str, schema: Mapping[str, Any]) -> Json:
    match schema["type"]:
        case "integer" if _INTEGER.fullmatch(text):
            return int(text)
        case "boolean" if text in {"true", "false"}:
            return text == "true"
        case "string":
            return text
    detail = f"arguments.{name} must be of type {schema['type']}, written in its shortest form"
    raise Refusal(
        Code.ARGUMENTS_INVALID, detail, allowed=f"{schema['type']}, e.g. 7 without sign or leading zero"
    )
