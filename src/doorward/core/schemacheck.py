"""JSON Schema without a library: the small closed subset that catalogues are written in.

The broker judges arguments with a full validator; door and connectors, which carry few libraries,
judge the same schemas here. `verify` refuses a schema outside the subset or without bounds, so that
nothing in a catalogue is a constraint that only one of the two would hold. Origin: JSON Schema
2020-12, validation vocabulary; stricter in one point: `1.0` is no integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from doorward.core.strictjson import Json

Schema = Mapping[str, Any]

_FREE: Final = r"[^/\\%;\x00-\x1f\x7f]"
_FIRST: Final = r"[^./\\%;\x00-\x1f\x7f]"
_SEGMENT: Final = rf"({_FIRST}|\.{_FIRST}|\.\.{_FREE}){_FREE}*"

PATTERNS: Final[Mapping[str, str]] = {
    "owner": r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
    "repository": r"^\.?[A-Za-z0-9_-][A-Za-z0-9._-]*(?<!\.[gG][iI][tT])(?<!\.[wW][iI][kK][iI])$",
    "path": rf"^{_SEGMENT}(/{_SEGMENT})*$",
    "ref": r"^[A-Za-z0-9_](\.?[A-Za-z0-9_@+/-])*$",
    "line": r"^[^\x00-\x1f\x7f]*$",
}
"""The only patterns a schema may use, by the name that catalogues give them. None comes from a user.

`owner` and `repository` are never dot segments (`.github` is a repository); no `repository` ends in
`.git` or `.wiki`, which forges keep for other spellings of one and for what belongs to it; `path` is
relative and has no empty, `.` or `..` segment, no backslash and no control character; `ref` is a
branch, tag or commit id without a leading dash or two dots; `line` is text on one line.
"""

_COMPILED: Final = {pattern: re.compile(pattern[1:-1]) for pattern in PATTERNS.values()}


def verify(schema: Schema, at: str = "arguments") -> None:
    """Raise `ValueError` when the schema is outside the subset or leaves something unbounded."""
    kind = _KINDS.get(str(schema.get("type")))
    if kind is None:
        msg = f"{at}: type must be one of {', '.join(_KINDS)}"
        raise ValueError(msg)
    foreign = set(schema) - kind.bounds - kind.others - {"type", "description", "enum"}
    missing = kind.bounds - set(schema) if "enum" not in schema else set()
    if foreign or missing:
        msg = f"{at}: leave out {sorted(foreign)}, add {sorted(missing)}"
        raise ValueError(msg)
    if schema.get("additionalProperties", False) is not False:
        msg = f"{at}: additionalProperties must be false"
        raise ValueError(msg)
    if "pattern" in schema and schema["pattern"] not in _COMPILED:
        msg = f"{at}: the pattern is not one of the named ones"
        raise ValueError(msg)
    for name, part in schema.get("properties", {}).items():
        verify(part, f"{at}.{name}")
    if "items" in schema:
        verify(schema["items"], f"{at}[]")


def fault(schema: Schema, value: Json, at: str = "arguments") -> str | None:
    """The first thing wrong with the value, in words, or None. The schema has passed `verify`."""
    kind = _KINDS[schema["type"]]
    if not isinstance(value, kind.python) or isinstance(value, kind.excluded):
        return f"{at} must be of type {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{at} must be one of {', '.join(map(str, schema['enum']))}"
    return kind.judge(schema, value, at)


def _object(schema: Schema, value: Any, at: str) -> str | None:
    properties = schema["properties"]
    for name in schema.get("required", ()):
        if name not in value:
            return f"{at}.{name} is missing"
    for name, item in value.items():
        if name not in properties:
            return f"{at}.{name} is not known here; known: {', '.join(properties)}"
        found = fault(properties[name], item, f"{at}.{name}")
        if found:
            return found
    return None


def _array(schema: Schema, value: Any, at: str) -> str | None:
    if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
        return f"{at} must have {schema.get('minItems', 0)} to {schema['maxItems']} items"
    faults = (fault(schema["items"], item, f"{at}[{index}]") for index, item in enumerate(value))
    return next(filter(None, faults), None)


def _string(schema: Schema, value: Any, at: str) -> str | None:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", len(value))
    if not shortest <= len(value) <= longest:
        return f"{at} must have {shortest} to {longest} characters"
    if "pattern" in schema and not _COMPILED[schema["pattern"]].fullmatch(value):
        return f"{at} must match {schema['pattern']}"
    return None


def _integer(schema: Schema, value: Any, at: str) -> str | None:
    lowest, highest = schema.get("minimum", value), schema.get("maximum", value)
    if not lowest <= value <= highest:
        return f"{at} must be between {lowest} and {highest}"
    return None


def _anything(schema: Schema, value: Any, at: str) -> str | None:  # noqa: ARG001 - the shape of a judge
    return None


@dataclass(frozen=True, slots=True)
class _Kind:
    python: type
    excluded: tuple[type, ...]
    """Python types that are instances of `python` without being of this JSON type."""
    judge: Callable[[Schema, Any, str], str | None]
    bounds: frozenset[str] = frozenset()
    """Keywords without which the type is unbounded; an `enum` bounds as well."""
    others: frozenset[str] = frozenset()


_KINDS: Final[Mapping[str, _Kind]] = {
    "object": _Kind(
        Mapping, (), _object, frozenset({"properties", "additionalProperties"}), frozenset({"required"})
    ),
    "array": _Kind(Sequence, (str,), _array, frozenset({"items", "maxItems"}), frozenset({"minItems"})),
    "string": _Kind(str, (), _string, frozenset({"maxLength"}), frozenset({"minLength", "pattern"})),
    "integer": _Kind(int, (bool,), _integer, frozenset({"minimum", "maximum"})),
    "boolean": _Kind(bool, (), _anything),
}
