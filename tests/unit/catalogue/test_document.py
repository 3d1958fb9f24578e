"""A catalogue is data, and data that contradicts itself is refused when it is loaded."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from typing import Any

import pytest

from doorward.catalogue import TYPES, load, parse
from doorward.core import digest
from doorward.core.action import resource_of
from doorward.core.effect import Effect
from doorward.errors import ConfigError

DOCUMENT = json.loads(files("doorward.catalogue").joinpath("data", "forge.json").read_bytes())


def test_the_forge_vocabulary() -> None:
    """The forge can do exactly these things, with these effects."""
    expected = {
        "issue.query": Effect.READ,
        "issue.read": Effect.READ,
        "issue.comment": Effect.DRAFT,
        "file.read": Effect.READ,
        "pull.read": Effect.READ,
        "review.read": Effect.READ,
        "check.read": Effect.READ,
    }

    assert expected == {action.name: action.effect for action in load("forge").actions.values()}


def test_the_hash_is_the_digest_of_the_file() -> None:
    """Anyone with the file can compute what a Connector pins."""
    assert digest.of_json(DOCUMENT) == load("forge").hash


def test_any_change_changes_the_hash() -> None:
    """A catalogue with another word in it is another catalogue."""
    changed = copy.deepcopy(DOCUMENT)
    changed["actions"]["file.read"]["summary"] += " "

    assert parse(changed).hash != load("forge").hash


def test_an_unknown_type_is_told_the_known_ones() -> None:
    """A Connector of a type without a catalogue cannot start, and learns why."""
    with pytest.raises(ConfigError, match="known: forge"):
        load("vault")


@pytest.mark.parametrize("type_", TYPES)
def test_each_action_names_what_it_enforces(type_: str) -> None:
    """An attribute that rules may constrain can be computed from the arguments alone."""
    for action in load(type_).actions.values():
        properties: Any = action.arguments["properties"]
        args = {name: 7 if schema["type"] == "integer" else "x" for name, schema in properties.items()}

        assert action.enforces <= set(resource_of(action, args))


@pytest.mark.parametrize("type_", TYPES)
def test_each_word_is_explained(type_: str) -> None:
    """Every action and argument carries a sentence that ends in a full stop."""
    for action in load(type_).actions.values():
        properties: Any = action.arguments["properties"]
        sentences = [action.summary, *(schema["description"] for schema in properties.values())]

        assert [text for text in sentences if not text.endswith(".")] == []


def test_what_ci_would_run_is_marked() -> None:
    """A document can say that an action brings what the upstream's CI runs; by default it does not."""
    marked = parse(broken("actions", "issue.comment", "runsCi", value=True)).actions

    assert [marked["issue.comment"].runs_ci, marked["issue.read"].runs_ci] == [True, False]


def broken(*path: str, value: Any) -> dict[str, Any]:
    """The forge's document with one part replaced."""
    document = copy.deepcopy(DOCUMENT)
    part = document
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (broken("arguments", "body", value={"type": "string"}), "maxLength"),
        (broken("arguments", "page", value={"type": "integer", "minimum": 1}), "maximum"),
        (broken("arguments", "ref", value={"type": "text"}), "type must be one of"),
        (broken("arguments", "ref", "format", value="uri"), "leave out"),
        (broken("actions", "issue.read", "enforces", value=["path"]), "cannot enforce"),
        (
            broken("actions", "issue.read", "native", value=[{"method": "GET", "path": "/{owner}/{owner}"}]),
            "two places",
        ),
        (
            broken("actions", "issue.read", "native", value=[{"method": "GET", "path": "/{who}"}]),
            "unknown",
        ),
        (
            broken(
                "actions",
                "issue.comment",
                "native",
                value=[{"method": "GET", "path": "/x", "body": {"body": "body"}}],
            ),
            "GET has no body",
        ),
    ],
)
def test_contradictions(document: dict[str, Any], message: str) -> None:
    """A document that is unbounded, promises what it cannot hold or has two readings does not load."""
    with pytest.raises(ValueError, match=message):
        parse(document)
