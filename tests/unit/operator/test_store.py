"""The cache: older news never wins over newer, and what is deleted stays deleted."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward_operator import trim
from doorward_operator.store import Store


def thing(version: int, uid: str = "u1", name: str = "a") -> dict[str, Any]:
    """An object at a version."""
    metadata = {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "managedFields": ["long"]}, "spec": {"version": version}}


@given(st.permutations([1, 2, 3, 4, 5]))
def test_the_newest_stays_whatever_the_order(versions: list[int]) -> None:
    """Watch, list and our own writes tell of the same object out of order."""
    store = Store(trim.whole)
    for version in versions:
        store.put(thing(version))
    found = store.get("n", "a")

    assert found is not None
    assert found["spec"] == {"version": 5}


@given(st.permutations(["put", "put", "remove", "put"]))
def test_what_is_deleted_does_not_come_back(steps: list[str]) -> None:
    """A list that was under way while the object was deleted does not bring it back."""
    store = Store(trim.whole)
    removed = False
    for version, step in enumerate(steps):
        if step == "put":
            store.put(thing(version))
        else:
            store.remove(thing(version))
            removed = True
        assert not (removed and store.get("n", "a"))


def test_what_is_known_is_no_news() -> None:
    """A relist tells of everything again; only changes are looked at."""
    store = Store(trim.whole)

    assert [store.put(thing(7)), store.put(thing(7)), store.put(thing(6)), store.put(thing(8))] == [
        True,
        False,
        False,
        True,
    ]


def test_a_late_deletion_does_not_hit_the_successor() -> None:
    """Deleted and made anew under the same name: the old one's end is not the new one's."""
    store = Store(trim.whole)
    store.put(thing(1, "old"))
    store.put(thing(5, "new"))

    assert not store.remove(thing(4, "old"))
    found = store.get("n", "a")
    assert found is not None
    assert found["metadata"]["uid"] == "new"


def test_only_what_the_list_should_have_had_is_absent() -> None:
    """An object newer than the list is not gone because the list does not have it."""
    store = Store(trim.whole)
    for version, name in ((3, "old"), (9, "new"), (2, "listed")):
        store.put(thing(version, uid=name, name=name))

    absent = store.absent_from({("n", "listed")}, "5")
    assert [item["metadata"]["name"] for item in absent] == ["old"]


def test_ballast_is_dropped() -> None:
    """Neither managed fields nor a task's input are kept for ten thousand tasks."""
    task = {**thing(1), "spec": {"role": "r", "input": {"long": "text"}}}

    assert trim.task(task)["spec"] == {"role": "r"}
    assert "managedFields" not in trim.task(task)["metadata"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans()), max_size=20))
def test_groups_are_what_is_there(steps: list[tuple[str, str, bool]]) -> None:
    """Looking into a group finds exactly the objects of that group."""
    store = Store(trim.whole, group=lambda found: str(found["spec"]["group"]))
    for version, (name, group, put) in enumerate(steps):
        found = {**thing(version + 1, uid=f"{name}{version}", name=name), "spec": {"group": group}}
        known = store.get("n", name)
        if put:
            store.put(found)
        elif known is not None:
            store.remove(known)
    expected = {
        group: {key for key, found in store.entries() if found["spec"]["group"] == group} for group in "xy"
    }

    actual = {
        group: {("n", found["metadata"]["name"]) for found in store.grouped("n", group)} for group in "xy"
    }
    assert expected == actual
