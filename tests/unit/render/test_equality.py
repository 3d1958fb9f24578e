"""Equality passes over exactly the lines that the server adds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.render import ABSENT, Difference, differences, identical
from doorward.render.equality import ADDED_AT_CREATION, ADDED_LATER

RENDERED: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "full.json").read_text())


def leaves(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value that is no container."""
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key)


def parents(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every object."""
    if isinstance(found, dict):
        yield path
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from parents(item, (*path, key))


def at(found: Any, path: tuple[Any, ...]) -> Any:
    """What stands at the path."""
    for key in path:
        found = found[key]
    return found


def pointer(path: tuple[Any, ...]) -> str:
    """The path as a JSON pointer."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in path)


@given(st.sampled_from(sorted(leaves(RENDERED), key=str)))
def test_every_changed_value_is_found(path: tuple[Any, ...]) -> None:
    """No value can differ without being named."""
    live = copy.deepcopy(RENDERED)
    at(live, path[:-1])[path[-1]] = "changed"

    assert [pointer(path)] == [item.pointer for item in differences(live, RENDERED)]


@given(st.sampled_from(sorted(leaves(RENDERED), key=str)))
def test_every_lost_value_is_found(path: tuple[Any, ...]) -> None:
    """No value can be missing without being named."""
    live = copy.deepcopy(RENDERED)
    del at(live, path[:-1])[path[-1]]

    assert differences(live, RENDERED)


@given(st.sampled_from(sorted(parents(RENDERED), key=str)))
def test_every_added_member_is_found(path: tuple[Any, ...]) -> None:
    """A member that a later Kubernetes or another webhook adds is named."""
    live = copy.deepcopy(RENDERED)
    at(live, path)["invented"] = {"secret": "yes"}

    expected = (Difference(pointer((*path, "invented")), {"secret": "yes"}, ABSENT),)
    assert expected == differences(live, RENDERED)


def test_an_added_container_is_found() -> None:
    """Lists are compared to their ends."""
    live = copy.deepcopy(RENDERED)
    live["spec"]["containers"].append({"name": "second"})

    assert [item.pointer for item in differences(live, RENDERED)] == ["/spec/containers/1"]


PAIRS = [
    (1, True),
    (0, False),
    (1, 1.0),
    ("1", 1),
    (None, "x"),
    ("x", None),
    (None, 0),
    ([], {}),
    ([1], (1,)),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_values_of_two_types_are_two_values(one: Any, other: Any) -> None:
    """Python's 1 == True does not reach the comparison, however deep the two values lie."""
    assert differences({"a": one}, {"a": other}) == (Difference("/a", one, other),)
    assert differences({"a": [{"b": one}]}, {"a": [{"b": other}]}) == (Difference("/a/0/b", one, other),)
    assert differences({"a": [one]}, {"a": [other]}) == (Difference("/a/0", one, other),)
    assert not identical({"a": [one]}, {"a": [other]})


def test_null_is_a_value_and_absence_is_none() -> None:
    """A member that is null is not a member that is missing, in either direction."""
    assert differences({}, {"a": None}) == (Difference("/a", ABSENT, None),)
    assert differences({"a": None}, {}) == (Difference("/a", None, ABSENT),)


@pytest.mark.parametrize(
    ("key", "pointer_"), [("a~b", "/a~0b"), ("a/b", "/a~1b"), ("~/", "/~0~1"), ("a", "/a")]
)
def test_a_member_of_any_name_is_pointed_at(key: str, pointer_: str) -> None:
    """RFC 6901: `~` and `/` in names are written as `~0` and `~1`."""
    assert [item.pointer for item in differences({key: 1}, {key: 2})] == [pointer_]


@pytest.mark.parametrize("value", [None, 1, "x", True, {}, [], {"a": [1, {"b": None}]}], ids=str)
def test_a_value_is_identical_to_itself(value: Any) -> None:
    """Nothing is passed over and nothing differs."""
    assert identical(value, copy.deepcopy(value))
    assert not identical(value, {"another": value})


CREATED: dict[str, Any] = {
    "metadata": {
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "generation": 1,
        "managedFields": [{"manager": "doorward"}],
        "uid": "11111111-2222-4333-8444-555555555555",
    },
    "status": {"phase": "Pending", "qosClass": "Burstable"},
}
STORED: dict[str, Any] = {
    "metadata": {"resourceVersion": "7", "deletionTimestamp": "x", "deletionGracePeriodSeconds": 1},
    "spec": {"nodeName": "node"},
    "status": {"podIP": "10.0.0.1", "containerStatuses": [{"name": "agent"}]},
}


def laid_over(additions: dict[str, Any]) -> dict[str, Any]:
    """The rendered pod with what a server added."""
    live = copy.deepcopy(RENDERED)
    for section, members in additions.items():
        live.setdefault(section, {}).update(members)
    return live


def test_what_creation_adds_is_passed_over() -> None:
    """The pod that admission sees equals the rendered one."""
    assert differences(laid_over(CREATED), RENDERED) == ()


def test_what_storage_adds_is_passed_over_for_stored_pods_only() -> None:
    """A node name in a new pod would go around the scheduler; in a running one it is a fact."""
    live = laid_over(STORED)

    assert differences(live, RENDERED, stored=True) == ()
    assert "/spec/nodeName" in {item.pointer for item in differences(live, RENDERED)}
    assert "/status/podIP" in {item.pointer for item in differences(live, RENDERED)}


def test_the_list_of_what_is_passed_over_is_this_one() -> None:
    """Whoever lengthens the list does so here, too, and says why in review."""
    expected = {
        "/metadata/creationTimestamp",
        "/metadata/deletionGracePeriodSeconds",
        "/metadata/deletionTimestamp",
        "/metadata/generation",
        "/metadata/managedFields",
        "/metadata/resourceVersion",
        "/metadata/uid",
        "/spec/nodeName",
        "/status",
        "/status/phase",
        "/status/qosClass",
    }

    assert expected == ADDED_AT_CREATION | ADDED_LATER


def test_a_difference_reads_as_a_sentence() -> None:
    """What a person sees in the refusal."""
    assert (
        str(Difference("/spec/hostNetwork", live=True, rendered=ABSENT))
        == "/spec/hostNetwork: True instead of nothing"
    )
