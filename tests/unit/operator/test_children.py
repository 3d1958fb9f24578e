"""A child does not outlive its parent."""

from __future__ import annotations

from typing import Any

import pytest

from doorward.kube import Object
from doorward_operator.world import TASK, Key, World

CREATED = "2027-01-15T08:00:00Z"


def task(name: str, parent: str | None = None, uid: str | None = None, **status: Any) -> Object:
    """A task, perhaps a child."""
    metadata = {"name": name, "namespace": "agents", "uid": uid or f"uid-{name}", "resourceVersion": "1"}
    named = {"parent": {"name": parent, "uid": f"uid-{parent}"}} if parent else {}
    return {"metadata": {**metadata, "creationTimestamp": CREATED}, "spec": named, "status": status}


def world(*tasks: Object) -> World:
    """What the operator knows."""
    found = World()
    for item in tasks:
        found.tasks.put(item)
    return found


@pytest.mark.parametrize(
    ("parent", "over"),
    [
        (task("lead"), False),
        (task("lead", phase="Running"), False),
        (task("lead", phase="Frozen"), False),
        (task("lead", phase="Succeeded"), True),
        (task("lead", phase="Revoked"), True),
        (task("lead", uid="another", phase="Succeeded"), False),
        (task("other", phase="Succeeded"), False),
    ],
)
def test_a_child_ends_when_its_parent_has(parent: Object, *, over: bool) -> None:
    """A parent that is not known may only not be known yet; the garbage collector knows."""
    child = task("child", parent="lead")

    assert world(parent, child).around(child).orphaned is over


def test_a_parents_news_are_its_childrens() -> None:
    """Who has to be looked at when a task changes."""
    found = world(task("lead"), task("one", parent="lead"), task("two", parent="lead"), task("three"))
    keys = sorted(found.children_of(task("lead")), key=lambda key: key.name)

    assert keys == [Key(TASK, "agents", "one"), Key(TASK, "agents", "two")]
