"""The table of a pod's fields says what the documents say, and where minors differ."""

from __future__ import annotations

from typing import Any

import pytest

from openapi.table import merged

PREFIX = "io.k8s.api.core.v1."
REF = "#/components/schemas/"


def schemas(**fields: Any) -> dict[str, Any]:
    """A document with one spec; the other roots are empty."""
    spec = {"properties": fields}
    pod = {"properties": {"spec": {"allOf": [{"$ref": f"{REF}{PREFIX}Spec"}]}}}
    empty: dict[str, Any] = {"properties": {}}
    return {
        f"{PREFIX}Pod": pod,
        f"{PREFIX}Spec": spec,
        f"{PREFIX}Amount": {"type": "string"},
        f"{PREFIX}PodTemplateSpec": empty,
        f"{PREFIX}EphemeralContainer": empty,
    }


def test_every_form_has_its_name() -> None:
    """Scalars, lists, maps and types of the document."""
    found = merged(
        {
            "1.33": schemas(
                text={"type": "string"},
                list={"type": "array", "items": {"type": "string"}},
                map={"type": "object", "additionalProperties": {"type": "string"}},
                type={"allOf": [{"$ref": f"{REF}{PREFIX}Spec"}]},
            )
        }
    )

    expected = {"list": "string[]", "map": "string{}", "text": "string", "type": "Spec"}
    assert expected == found["types"]["Spec"]


def test_a_field_of_some_minors_names_them() -> None:
    """What came later is told apart from what was always there."""
    text = {"type": "string"}
    found = merged({"1.33": schemas(old=text), "1.34": schemas(old=text, new=text)})

    expected = {"new": {"form": "string", "minors": ["1.34"]}, "old": "string"}
    assert expected == found["types"]["Spec"]


def test_a_field_that_changed_its_form_is_an_error() -> None:
    """The walk would have to know which of the two is meant; a person has to look."""
    with pytest.raises(ValueError, match=r"Spec\.field has several forms"):
        merged({"1.33": schemas(field={"type": "string"}), "1.34": schemas(field={"type": "integer"})})
