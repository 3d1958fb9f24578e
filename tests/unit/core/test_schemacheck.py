"""The small checker says what the full validator says."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import schemacheck

PATTERNS = st.sampled_from(sorted(schemacheck.PATTERNS.values()))
SCALARS = st.one_of(
    st.builds(
        lambda low, room, pattern: {"type": "string", "minLength": low, "maxLength": low + room} | pattern,
        st.integers(0, 3),
        st.integers(0, 5),
        st.one_of(st.just({}), PATTERNS.map(lambda pattern: {"pattern": pattern})),
    ),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True).map(
        lambda values: {"type": "string", "enum": values}
    ),
    st.builds(
        lambda low, room: {"type": "integer", "minimum": low, "maximum": low + room},
        st.integers(-3, 3),
        st.integers(0, 9),
    ),
    st.just({"type": "boolean"}),
)


def composed(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Arrays and objects of the parts."""
    arrays = st.builds(
        lambda items, low, room: {"type": "array", "items": items, "minItems": low, "maxItems": low + room},
        parts,
        st.integers(0, 2),
        st.integers(0, 3),
    )
    objects = st.builds(
        lambda properties, count: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties)[:count],
            "additionalProperties": False,
        },
        st.dictionaries(st.sampled_from(["a", "b", "c"]), parts, max_size=3),
        st.integers(0, 3),
    )
    return st.one_of(arrays, objects)


SCHEMAS = st.recursive(SCALARS, composed, max_leaves=6)
TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from([".", "..", "a/b", "a//b", "a/../b", "...", ".git", "-a", "a\n", "ä"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 12), st.floats(allow_nan=False), TEXTS),
    lambda parts: st.one_of(
        st.lists(parts, max_size=4), st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), parts, max_size=3)
    ),
    max_leaves=6,
)


def has_whole_float(value: Any) -> bool:
    """Whether a number such as 1.0 is inside: an integer for JSON Schema, not for us."""
    if isinstance(value, dict):
        return any(map(has_whole_float, value.values()))
    if isinstance(value, list):
        return any(map(has_whole_float, value))
    return isinstance(value, float) and value.is_integer()


@st.composite
def judged(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A schema with a value that is often near to valid."""
    schema = draw(SCHEMAS)
    return schema, draw(st.one_of(fitting(schema), VALUES))


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly fit the schema."""
    match schema["type"]:
        case "object":
            parts = {name: fitting(part) for name, part in schema["properties"].items()}
            return st.fixed_dictionaries({}, optional=parts)
        case "array":
            return st.lists(fitting(schema["items"]), max_size=5)
        case "integer":
            return st.integers(-4, 13)
        case "boolean":
            return st.booleans()
    return st.one_of(TEXTS, st.sampled_from(schema.get("enum", ["a"])))


@given(judged())
def test_agrees_with_the_full_validator(case: tuple[dict[str, Any], Any]) -> None:
    """For every schema of the subset and every value the two give one verdict; 1.0 is no integer here."""
    schema, value = case
    schemacheck.verify(schema)
    small = schemacheck.fault(schema, value) is None
    full = jsonschema_rs.is_valid(schema, value)

    assert small == full or (full and has_whole_float(value))


@pytest.mark.parametrize(
    "value", [".", "..", "a/..", "../a", "a//b", "/a", "a/", "a\\b", "a\0b", "", "./a", "a/.", "a%2fb", "a;b"]
)
def test_paths_that_climb(value: str) -> None:
    """A path has no empty, dot or dot-dot segment, no backslash and no control character."""
    schema = {"type": "string", "maxLength": 99, "pattern": schemacheck.PATTERNS["path"]}

    assert schemacheck.fault(schema, value) is not None


@pytest.mark.parametrize("value", ["a", "a/b", ".github/workflows", "..a", "...", "src/.../x", "ä b/ç"])
def test_paths_that_are_plain(value: str) -> None:
    """Names with dots, spaces and any letters are paths."""
    schema = {"type": "string", "maxLength": 99, "pattern": schemacheck.PATTERNS["path"]}

    assert schemacheck.fault(schema, value) is None


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({}, "type must be"),
        ({"type": "number"}, "type must be"),
        ({"type": "string"}, "maxLength"),
        ({"type": "integer", "minimum": 1}, "maximum"),
        ({"type": "array", "items": {"type": "boolean"}}, "maxItems"),
        ({"type": "array", "maxItems": 1, "items": {"type": "string"}}, "maxLength"),
        ({"type": "object", "properties": {}}, "additionalProperties"),
        ({"type": "object", "properties": {}, "additionalProperties": True}, "must be false"),
        ({"type": "string", "maxLength": 1, "pattern": "(a+)+$"}, "not one of the named"),
        ({"type": "string", "maxLength": 1, "format": "uri"}, "leave out"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            "arguments.a",
        ),
    ],
)
def test_schemas_outside_the_subset(schema: dict[str, Any], message: str) -> None:
    """A keyword that nobody would hold, or a missing bound, is found when the schema is loaded."""
    with pytest.raises(ValueError, match=message):
        schemacheck.verify(schema)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("web", True),
        (".github", True),
        ("digit", True),
        ("web.github", True),
        ("web.git", False),
        ("web.GIT", False),
        (".git", False),
        ("web.wiki", False),
    ],
)
def test_a_repository_has_one_spelling(name: str, *, is_one: bool) -> None:
    """`web.git` is `web` for some readers: what forbids `acme/web` must not be asked about another name."""
    schema = {"type": "string", "maxLength": 99, "pattern": schemacheck.PATTERNS["repository"]}

    assert (schemacheck.fault(schema, name) is None) is is_one
