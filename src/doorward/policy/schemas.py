"""Argument schemas that role authors write: a closed set of keywords, patterns in linear time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from doorward.core.strictjson import JsonObject

KEYWORDS: Final = frozenset(
    {
        "type",
        "description",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "items",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
        "pattern",
        "minimum",
        "maximum",
    }
)
"""What a rule's schema may say. References, formats and combinators are left out: they load or hide."""

_REGEX_ROOM: Final = 64 * 1024


def fault(schema: Mapping[str, Any]) -> str | None:
    """Why the schema cannot be used, or None."""
    return _read(json.dumps(schema, sort_keys=True)).fault


def violation(schema: Mapping[str, Any], args: JsonObject) -> str | None:
    """What the schema says against the arguments, or None. An unusable schema is against everything."""
    if not schema:
        return None
    found = _read(json.dumps(schema, sort_keys=True))
    if found.validator is None:
        return f"the rule's schema: {found.fault}"
    for error in found.validator.iter_errors(args):
        place = ".".join(["arguments", *map(str, error.instance_path)])
        return f"{place}: {error.message}"
    return None


@dataclass(frozen=True, slots=True)
class _Schema:
    fault: str | None
    validator: jsonschema_rs.Draft202012Validator | None = None


@lru_cache(maxsize=1024)
def _read(text: str) -> _Schema:
    schema = json.loads(text)
    foreign = _foreign(schema)
    if foreign:
        return _Schema(f"{foreign} cannot be used here; usable: {', '.join(sorted(KEYWORDS))}")
    linear = jsonschema_rs.RegexOptions(size_limit=_REGEX_ROOM, dfa_size_limit=_REGEX_ROOM)
    try:
        validator = jsonschema_rs.Draft202012Validator(
            schema, mask="the value", offline=True, pattern_options=linear
        )
    except ValueError as error:
        return _Schema(str(error).splitlines()[0])
    return _Schema(None, validator)


def _foreign(schema: Any) -> str | None:
    if not isinstance(schema, Mapping):
        return None if isinstance(schema, bool) else f"{schema!r} in place of a schema"
    for keyword in schema:
        if keyword not in KEYWORDS:
            return f"keyword {keyword!r}"
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        return "properties that are no object"
    parts = [*properties.values(), schema.get("items", True), schema.get("additionalProperties", True)]
    return next(filter(None, map(_foreign, parts)), None)
