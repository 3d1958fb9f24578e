"""The definitions are generated, bounded and explained; no field can forget its sentence or its bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from doorward.api import schema as generator
from doorward.api.v1alpha1 import KINDS, Resource

CRDS = Path(__file__).parents[3] / "crds"
FREE = "x-kubernetes-preserve-unknown-fields"


def fields(path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, with its path."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from fields(f"{path}.{name}", part)
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from fields(path + mark, schema[key])


def of(kind: type[Resource]) -> list[tuple[str, dict[str, Any]]]:
    """Every schema of spec and status of a kind."""
    schema = generator.definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return [found for part in ("spec", "status") for found in fields(f"{kind.__name__}.{part}", schema[part])]


EVERY = [found for kind in KINDS for found in of(kind)]


def test_the_files_are_up_to_date() -> None:
    """What is checked in is what the models say; `python -m doorward.api.schema crds` makes it so."""
    assert generator.main(["--check", str(CRDS)]) == 0
    assert set(generator.documents()) == {path.name for path in CRDS.glob("*.yaml")}


def test_a_stale_file_is_found(tmp_path: Path) -> None:
    """The check fails on a changed or missing file, writes nothing, and writing mends it."""
    arguments = [str(tmp_path)]
    before = generator.main(["--check", *arguments])
    untouched = list(tmp_path.iterdir())

    assert (before, untouched) == (1, [])
    assert [generator.main(arguments), generator.main(["--check", *arguments])] == [0, 0]


def test_the_command_says_how_it_is_used() -> None:
    """Without a folder nothing happens."""
    assert generator.main([]) == 2


@pytest.mark.parametrize("name", sorted(generator.documents()))
def test_the_files_mean_the_definitions(name: str) -> None:
    """The written YAML reads back as the definition, so the small writer is right."""
    expected = {f"{kind.kind_info.plural}.yaml": generator.definition(kind) for kind in KINDS}[name]

    assert expected == yaml.safe_load(generator.documents()[name])


PRINTABLE = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)
PLAIN = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-9, 9), PRINTABLE, st.sampled_from(["no", "1e3", "~", "Null", "a: b"])
    ),
    lambda parts: st.one_of(st.lists(parts, max_size=3), st.dictionaries(PRINTABLE, parts, max_size=3)),
    max_leaves=8,
)


@given(PLAIN)
def test_yaml_is_read_as_it_was_meant(value: Any) -> None:
    """Any JSON of printable text is read back by an ordinary YAML reader as the same value."""
    assert value == yaml.safe_load(generator.yaml(value))


def test_sizes() -> None:
    """Each definition stays below 60 KB as JSON, all of them below 200 KB."""
    sizes = {kind.__name__: len(json.dumps(generator.definition(kind))) for kind in KINDS}

    assert {name: size for name, size in sizes.items() if size >= 60_000} == {}
    assert sum(sizes.values()) < 200_000


def test_every_property_has_a_sentence() -> None:
    """Each property says what it is, ending in a full stop."""
    silent = [
        path
        for path, schema in EVERY
        if not path.endswith(("[]", "{}")) and not schema.get("description", "").endswith(".")
    ]

    assert silent == []


def test_every_integer_has_both_bounds() -> None:
    """No number is unbounded."""
    loose = [
        path
        for path, schema in EVERY
        if schema["type"] == "integer" and not {"minimum", "maximum"} <= set(schema)
    ]

    assert loose == []


def test_every_list_and_map_has_a_bound() -> None:
    """No list and no map is unbounded."""
    bounds = {"array": "maxItems", "object": "maxProperties"}
    loose = [
        path
        for path, schema in EVERY
        if schema["type"] in bounds and "properties" not in schema and bounds[schema["type"]] not in schema
    ]

    assert loose == []


def test_every_text_has_a_bound() -> None:
    """No text is unbounded: it has a length or a closed list of values."""
    loose = [
        path
        for path, schema in EVERY
        if schema["type"] == "string" and not {"maxLength", "enum"} & set(schema)
    ]

    assert loose == []


def test_only_two_places_are_free() -> None:
    """Free JSON exists where it is meant and nowhere else."""
    expected = ["AgentTask.spec.input", "AgentRole.spec.rules[].arguments"]

    assert expected == [path for path, schema in EVERY if FREE in schema]


def test_schemas_are_structural() -> None:
    """Nothing that the API server does not understand is left in a schema."""
    foreign = {
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "oneOf",
        "const",
        "title",
        "propertyNames",
        "patternProperties",
    }
    found = [path for path, schema in EVERY if foreign & set(schema) or "type" not in schema]

    assert found == []


def test_each_message_is_an_instruction() -> None:
    """Every CEL rule carries a message."""
    rules = [rule for _, schema in EVERY for rule in schema.get("x-kubernetes-validations", ())]

    assert len(rules) > 20
    assert [rule for rule in rules if not rule.get("message")] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_how_a_kind_is_listed(kind: type[Resource]) -> None:
    """Each kind has a short name, the category, a status of its own, an age and columns for `-o wide`."""
    spec = generator.definition(kind)["spec"]
    version = spec["versions"][0]
    columns = version["additionalPrinterColumns"]

    assert (spec["names"]["categories"], version["subresources"]) == (["doorward"], {"status": {}})
    assert spec["names"]["shortNames"]
    assert "Age" in [column["name"] for column in columns]
    assert [column for column in columns if column.get("priority") == 1]
    assert [column["name"] for column in columns if not column["description"].endswith(".")] == []


def test_short_names_are_unique() -> None:
    """No two kinds share a name on the command line."""
    names = [name for kind in KINDS for name in (*kind.kind_info.short_names, kind.kind_info.plural)]

    assert sorted(set(names)) == sorted(names)


def test_conditions_are_a_map() -> None:
    """Every status lists its conditions by type, so that several writers can share them."""
    found = {path: schema for path, schema in EVERY if path.endswith(".status.conditions")}

    assert len(found) == len(KINDS)
    assert {tuple(schema["x-kubernetes-list-map-keys"]) for schema in found.values()} == {("type",)}
