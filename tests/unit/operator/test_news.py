"""What each piece of news makes the operator look at, and whose a pod is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from doorward.kube import Change, ChangeType
from doorward.render import made_for, orphaned
from doorward.render.names import pod_name, task_labels
from doorward_operator.news import News
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import TASK, Key, World

OWNER = {"apiVersion": "doorward.dev/v1alpha1", "kind": "AgentTask", "name": "fix", "uid": "uid-fix"}
FIX = Key(TASK, "agents", "fix")
BUSY = Key(TASK, "agents", "busy")


class Desk:
    """A world, its news and the keys that they bring."""

    def __init__(self) -> None:
        self.world = World()
        self.queue: WorkQueue[Key] = WorkQueue(time.monotonic)
        self.news = News(self.world, self.queue, lambda _name, _enrolled: None)
        self._version = 1

    def keys(self) -> set[Key]:
        """The keys of tasks since the last question."""
        agenda, found = self.queue.agenda, set()
        while (key := agenda.take()) is not None:
            found.add(key)
            agenda.done(key)
        return {key for key in found if key.kind == TASK}

    def tell(self, kind: str, found: dict[str, Any], change: ChangeType = ChangeType.PRESENT) -> set[Key]:
        """Tell of a pod or policy; gives the keys that this brings."""
        self._version += 1
        metadata = {"namespace": "agents", "uid": f"uid-{found['metadata']['name']}", **found["metadata"]}
        body = {**found, "metadata": {**metadata, "resourceVersion": str(self._version)}}
        getattr(self.news, kind)(Change(change, body))
        return self.keys()


@pytest.fixture
def desk() -> Desk:
    """A namespace with a task that waits and one that has its pod."""
    made = Desk()
    for name, status in (("fix", {}), ("busy", {"podName": "busy-1"})):
        metadata = {"name": name, "namespace": "agents", "uid": f"uid-{name}", "resourceVersion": "1"}
        made.news.task({"metadata": metadata, "spec": {"role": "fixer"}, "status": status}, gone=False)
    made.keys()
    return made


def task_pod(**metadata: Any) -> dict[str, Any]:
    """A pod as the operator makes it."""
    ours = {
        "name": "fix-1",
        "labels": task_labels("fixer"),
        "annotations": {"doorward.dev/task": "fix"},
        "ownerReferences": [{**OWNER, "controller": True}],
    }
    return {"metadata": {**ours, **metadata}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    "forged",
    [
        {"labels": {}},
        {"labels": {"app.kubernetes.io/managed-by": "doorward"}},
        {"ownerReferences": []},
        {"ownerReferences": [OWNER]},
        {"ownerReferences": [{**OWNER, "kind": "ReplicaSet", "controller": True}]},
        {"ownerReferences": [{**OWNER, "apiVersion": "example.dev/v1", "controller": True}]},
        {"ownerReferences": [{**OWNER, "name": "other", "controller": True}]},
        {"annotations": {}},
        {"annotations": {"doorward.dev/task": "other"}},
    ],
    ids=[
        *("no labels", "another component", "no owner", "no controller", "another kind"),
        *("another group", "another task's", "no annotation", "another annotation"),
    ],
)
def test_an_annotation_alone_makes_no_pod_ours(desk: Desk, forged: dict[str, Any]) -> None:
    """A pod from before that names a task is foreign: it is reported, and never ended as that task's."""
    desk.world.tasks.clear("agents")
    desk.tell("pod", task_pod(**forged))

    assert made_for(task_pod()) == "fix"
    assert made_for(task_pod(**forged)) is None
    assert desk.world.foreign_pods("agents") == ("fix-1",)
    assert list(desk.world.orphans("agents", "fix")) == []


def let_go(**metadata: Any) -> dict[str, Any]:
    """A pod of a task that was deleted with `--cascade=orphan`."""
    ours = {
        "name": pod_name("fix", "uid-fix"),
        "annotations": {"doorward.dev/task": "fix", "doorward.dev/task-uid": "uid-fix"},
    }
    return task_pod(ownerReferences=[], **{**ours, **metadata})


def test_a_pod_that_was_let_go_is_ended_and_foreign_to_nobody(desk: Desk) -> None:
    """Orphaning takes the owner reference from a pod that runs; its task is told, and it is ended."""
    desk.tell("pod", task_pod(name=let_go()["metadata"]["name"]))
    desk.world.tasks.clear("agents")

    assert desk.tell("pod", let_go()) == {FIX}
    assert desk.world.foreign_pods("agents") == ()
    assert [pod["metadata"]["name"] for pod in desk.world.orphans("agents", "fix")] == ["fix-bd452769"]


@pytest.mark.parametrize(
    "forged",
    [
        {"name": "fix-1"},
        {"labels": {}},
        {"labels": {"app.kubernetes.io/managed-by": "doorward", "app.kubernetes.io/component": "task"}},
        {"labels": {**task_labels("fixer"), "app.kubernetes.io/name": "web"}},
        {"annotations": {}},
        {"annotations": {"doorward.dev/task": "fix"}},
        {"annotations": {"doorward.dev/task": "other", "doorward.dev/task-uid": "uid-fix"}},
        {"annotations": {"doorward.dev/task": "fix", "doorward.dev/task-uid": "another"}},
    ],
    ids=[
        *("another name", "no labels", "no role", "another product", "no annotations", "no UID"),
        *("another task", "another UID"),
    ],
)
def test_a_pod_without_an_owner_is_ours_only_if_all_its_marks_agree(forged: dict[str, Any]) -> None:
    """A name that somebody chose, or a label, ends no pod."""
    assert made_for(let_go()) == "fix"
    assert made_for(let_go(**forged)) is None


@pytest.mark.parametrize(
    ("metadata", "status", "expected"),
    [
        ({"uid": "uid-fix"}, {}, False),
        ({"uid": "uid-fix", "deletionTimestamp": "x"}, {}, True),
        ({"uid": "uid-fix"}, {"finishedAt": "x"}, True),
        ({"uid": "new"}, {}, True),
    ],
    ids=["lives", "is being deleted", "has finished", "is another one"],
)
def test_a_pod_that_was_let_go_is_ended_when_its_task_is_over(
    metadata: dict[str, str], status: dict[str, str], *, expected: bool
) -> None:
    """Never while its task lives: then the marks may be somebody's words."""
    assert orphaned(let_go(), {"metadata": metadata, "status": status}) is expected
    assert orphaned(let_go(), None)


def test_a_task_pod_is_news_for_its_task(desk: Desk) -> None:
    """And foreign to nobody; its end in a gap comes without annotations and is understood."""
    assert desk.tell("pod", task_pod()) == {FIX}
    assert desk.world.foreign_pods("agents") == ()
    assert desk.tell("pod", {"metadata": {"name": "fix-1"}}, ChangeType.GONE) == {FIX}


def test_foreign_pods_are_news_for_tasks_that_wait(desk: Desk) -> None:
    """When one comes, ends or goes; not each time that one changes."""
    web = {"metadata": {"name": "web", "labels": {"app": "web"}}}
    came = desk.tell("pod", {**web, "status": {"phase": "Pending"}})
    changed = desk.tell("pod", {**web, "status": {"phase": "Running"}})
    ended = desk.tell("pod", {**web, "status": {"phase": "Succeeded"}})
    gone = desk.tell("pod", web, ChangeType.GONE)

    assert [came, changed, ended, gone] == [{FIX}, set(), {FIX}, set()]


def test_foreign_policies_are_news_for_all_tasks(desk: Desk) -> None:
    """Those that run included, when one comes, changes or goes."""
    policy = {"metadata": {"name": "helpful"}, "spec": {"podSelector": {}}}
    both = {FIX, BUSY}
    told = [desk.tell("policy", policy), desk.tell("policy", policy)]

    assert [*told, desk.tell("policy", policy, ChangeType.GONE)] == [both, both, both]


def test_a_policy_of_ours_is_news_for_all_tasks_once_it_selects_others(desk: Desk) -> None:
    """One role's policy that was made to select every pod opens the other roles' pods."""
    narrow = {"metadata": {"name": "doorward-role-a"}, "spec": {"podSelector": {"matchLabels": {"r": "a"}}}}
    wide = {**narrow, "spec": {"podSelector": {}}}

    assert desk.tell("policy", narrow) == set()
    assert desk.tell("policy", narrow) == set()
    assert desk.tell("policy", wide) == {FIX, BUSY}


def test_the_policies_around_a_task_are_in_order(desk: Desk) -> None:
    """Its own two are left out; the rest comes by name, so that a message does not change by itself."""
    for name in ("c", "doorward-default-deny", "a", "doorward-role-fixer", "b", "doorward-role-other"):
        desk.tell("policy", {"metadata": {"name": name}, "spec": {}})
    task = desk.world.tasks.get("agents", "fix")
    assert task is not None

    found = [item["metadata"]["name"] for item in desk.world.around(task).others]
    assert found == ["a", "b", "c", "doorward-role-other"]
