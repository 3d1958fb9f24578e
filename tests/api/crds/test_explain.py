"""`kubectl explain` reads like documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.kubectl import Kubectl
from doorward.api.schema import definition
from doorward.api.v1alpha1 import KINDS


def descriptions(schema: dict[str, Any]) -> Iterator[str]:
    """Every description of a schema."""
    if "description" in schema:
        yield schema["description"]
    for part in schema.get("properties", {}).values():
        yield from descriptions(part)
    for key in {"items", "additionalProperties"} & set(schema):
        yield from descriptions(schema[key])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_explained(kubectl: Kubectl, kind: Any) -> None:
    """Each field, however deep, shows its sentence to whoever asks kubectl."""
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    plural = kind.kind_info.plural
    names = [f"{plural}.{part}" for part in ("spec", "status")]
    shown = " ".join(" ".join(explained(kubectl, name, schema) for name in names).split())
    missing = [
        text
        for part in ("spec", "status")
        for text in descriptions(schema["properties"][part])
        if " ".join(text.split()) not in shown
    ]

    assert missing == []


def explained(kubectl: Kubectl, path: str, schema: dict[str, Any]) -> str:
    """What kubectl explains about a field and everything below it."""
    part = schema
    for step in path.split(".")[1:]:
        part = part["properties"][step]
        part = part.get("items", part)
    deeper = [name for name, field in part.get("properties", {}).items() if has_properties(field)]
    return " ".join(
        [kubectl("explain", path), *(explained(kubectl, f"{path}.{name}", schema) for name in deeper)]
    )


def has_properties(field: dict[str, Any]) -> bool:
    """Whether there is more to explain below a field."""
    return "properties" in field.get("items", field)
