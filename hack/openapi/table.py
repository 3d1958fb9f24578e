"""From OpenAPI documents to the table: every type reachable from a pod, every field, its form, its minors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ROOTS = ("Pod", "PodTemplateSpec", "EphemeralContainer")
"""Where pods begin: as themselves, inside workloads, and inside running pods."""
OBSERVED = frozenset({"PodStatus"})
"""What the cluster writes and nobody starts a container from; its fields are left out."""
_PREFIX = "#/components/schemas/"
_CORE = "io.k8s.api.core.v1."

Schemas = Mapping[str, Any]
"""`components.schemas` of one OpenAPI v3 document."""


def merged(minors: Mapping[str, Schemas]) -> dict[str, Any]:
    """`{minors, types: {type: {field: form | {form, minors}}}}`; minors are named where one lacks the field.

    Raises `ValueError` when two minors give one field two forms: the walk would have to know which is meant.
    """
    types: dict[str, dict[str, dict[str, list[str]]]] = {}
    for minor, schemas in minors.items():
        for kind, field, form in fields(schemas):
            types.setdefault(kind, {}).setdefault(field, {}).setdefault(form, []).append(minor)
    table = {
        kind: {
            field: _entry(f"{kind}.{field}", forms, list(minors)) for field, forms in sorted(found.items())
        }
        for kind, found in sorted(types.items())
    }
    return {"minors": list(minors), "types": table}


def fields(schemas: Schemas) -> Iterator[tuple[str, str, str]]:
    """`(type, field, form)` for every type that a pod can contain."""
    waiting, seen = [_CORE + root for root in ROOTS], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for field, schema in schemas[name].get("properties", {}).items():
            form, reference = _form(schema, schemas)
            if reference and form not in OBSERVED:
                waiting.append(reference)
            yield name.rpartition(".")[2], field, form


def _form(schema: Mapping[str, Any], schemas: Schemas) -> tuple[str, str]:
    """`string`, `Volume`, `Volume[]`, `string{}`...; and the schema to visit next, if there is one."""
    if "items" in schema:
        form, reference = _form(schema["items"], schemas)
        return f"{form}[]", reference
    if "additionalProperties" in schema:
        form, reference = _form(schema["additionalProperties"], schemas)
        return f"{form}{{}}", reference
    reference = _reference(schema)
    if not reference:
        return str(schema["type"]), ""
    short = reference.rpartition(".")[2]
    return (short, reference) if "properties" in schemas[reference] else (_scalar(short), "")


def _scalar(short: str) -> str:
    return {"Time": "string", "Quantity": "quantity", "IntOrString": "port", "FieldsV1": "any"}.get(
        short, "any"
    )


def _reference(schema: Mapping[str, Any]) -> str:
    named = schema.get("$ref") or next(
        (part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), ""
    )
    return str(named).removeprefix(_PREFIX)


def _entry(path: str, forms: Mapping[str, list[str]], minors: list[str]) -> Any:
    if len(forms) > 1:
        raise ValueError(f"{path} has several forms: {dict(forms)}")
    ((form, found),) = forms.items()
    return form if found == minors else {"form": form, "minors": found}
