"""Argument schemas that role authors write: a closed set of keywords, patterns in linear time."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    foreign = _foreign(schema)
    if foreign:
        return f"{foreign} cannot be used here; usable: {', '.join(sorted(KEYWORDS))}"
    try:
        _validator(_text(schema))
    except ValueError as error:
        return str(error).splitlines()[0]
    return None


def violation(schema: Mapping[str, Any], args: JsonObject) -> str | None:
    """What the schema says against the arguments, or None. An unusable schema is against everything."""
    if not schema:
        return None
    broken = fault(schema)
    if broken:
        return f"the rule's schema: {broken}"
    for error in _validator(_text(schema)).iter_errors(args):
        place = ".".join(["arguments", *map(str, error.instance_path)])
        return f"{place}: {error.message}"
    return None


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


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True)


@lru_cache(maxsize=1024)
def _validator(text: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        json.loads(text),
        mask="the value",
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=_REGEX_ROOM, dfa_size_limit=_REGEX_ROOM),
    )
