"""From a model's JSON Schema to a structural schema, which is all that the API server understands.

What pydantic writes and a CRD must not hold: `$ref` and `$defs`, `anyOf` with null, `title`, `const`,
`propertyNames`, `patternProperties` and `additionalProperties` beside `properties`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

_DROPPED: Final = frozenset({"title", "$defs", "$ref", "anyOf", "allOf", "const", "propertyNames"})
_ELSEWHERE: Final = frozenset({"properties", "items", "additionalProperties", "patternProperties", "default"})
_RULES: Final = "x-kubernetes-validations"

Schema = Mapping[str, Any]


def of(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, with all its descriptions."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}))


def _convert(raw: Schema, definitions: Schema) -> dict[str, Any]:
    source = _resolve(raw, definitions)
    found = {key: value for key, value in source.items() if key not in _DROPPED and key not in _ELSEWHERE}
    found |= {name: convert(source, definitions) for name, convert in _PARTS.items() if name in source}
    if source.get("default") not in (None, "", 0) and isinstance(source["default"], str | int):
        found["default"] = source["default"]
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    if found.get("type") == "object" and "maxLength" in found:
        found["maxProperties"] = found.pop("maxLength")
    _keys(source, found, definitions)
    if any("self.matches(" in item["rule"] for item in found.get(_RULES, ())):
        found.pop("pattern", None)
    return found


def _resolve(raw: Schema, definitions: Schema) -> dict[str, Any]:
    """The schema with references, optional types and constants written out."""
    found = dict(raw)
    for variant in (*found.get("anyOf", ()), *found.get("allOf", ())):
        if variant.get("type") != "null":
            found = {**_resolve(variant, definitions), **found}
    if "$ref" in found:
        target = _resolve(definitions[found["$ref"].rpartition("/")[2]], definitions)
        found = {**target, **found}
    if "const" in found:
        found["enum"] = [found["const"]]
    return found


def _properties(source: Schema, definitions: Schema) -> dict[str, Any]:
    return {name: _convert(part, definitions) for name, part in source["properties"].items()}


def _items(source: Schema, definitions: Schema) -> dict[str, Any]:
    found = _convert(source["items"], definitions)
    if "properties" not in found:
        found.pop("description", None)  # explain shows the description of the list
    return found


_PARTS: Final = {"properties": _properties, "items": _items}


def _keys(source: Schema, found: dict[str, Any], definitions: Schema) -> None:
    """Maps have values of one schema; what their keys must be becomes a CEL rule."""
    patterns = source.get("patternProperties", {})
    values = next(iter(patterns.values()), source.get("additionalProperties"))
    if not isinstance(values, Mapping):
        return
    found["additionalProperties"] = _convert(values, definitions)
    names = _resolve(source.get("propertyNames", {}), definitions)
    rules = [
        *(_key_rule(f"key.matches(r'{pattern}')", f"keys must match {pattern}") for pattern in patterns),
        *(
            _key_rule(f"key in {names['enum']}", f"keys must be of {names['enum']}")
            for _ in names.get("enum", ())[:1]
        ),
    ]
    found[_RULES] = [*found.get(_RULES, ()), *rules]


def _key_rule(test: str, message: str) -> dict[str, str]:
    return {"rule": f"self.all(key, {test})", "message": message}
