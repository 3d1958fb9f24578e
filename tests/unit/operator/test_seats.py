"""Tasks at the same time: never more than there are seats, oldest first, and nobody is forgotten."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorward.api.v1alpha1 import Ceilings
from doorward_operator.news import News
from doorward_operator.seats import Seats
from doorward_operator.workqueue import WorkQueue
from doorward_operator.world import TASK, Key, World

REFUSED = [{"type": "Accepted", "status": "False", "reason": "RoleNotFound"}]
POD_REFUSED = [{"type": "Running", "status": "False", "reason": "PodRefused"}]


def ceilings(tasks: int | None, own: int | None = None) -> Ceilings:
    """Seats of a role, and of one person in it."""
    return Ceilings.model_validate({"tasks": tasks, "perRequester": {"tasks": own}})


def task(name: str, who: str = "alice", **status: Any) -> dict[str, Any]:
    """A task of the role; names sort by age."""
    metadata = {
        "name": name,
        "namespace": "agents",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": f"2027-01-15T08:00:{name[1:]:0>2}Z",
    }
    return {"metadata": metadata, "spec": {"role": "fixer", "requestedBy": who}, "status": status}


def seated(*tasks: dict[str, Any]) -> Seats:
    """Seats that have heard of these tasks."""
    made = Seats()
    for found in tasks:
        made.note(None, found)
    return made


def admitted(seats: Seats, tasks: list[dict[str, Any]], bounds: Ceilings) -> list[str]:
    """Names of those that may begin."""
    return [found["metadata"]["name"] for found in tasks if seats.admits(found, bounds)]


def test_the_oldest_begin() -> None:
    """Two seats, three tasks: the third waits, in whatever order they came."""
    tasks = [task("t3"), task("t1"), task("t2")]

    assert sorted(admitted(seated(*tasks), tasks, ceilings(2))) == ["t1", "t2"]


def test_without_a_ceiling_nobody_waits() -> None:
    """A role that says nothing has room for all."""
    tasks = [task(f"t{number}") for number in range(5)]

    assert len(admitted(seated(*tasks), tasks, ceilings(None))) == 5


def test_a_running_and_a_frozen_task_hold_their_seats() -> None:
    """Their pods are there."""
    tasks = [task("t1", podName="p", phase="Running"), task("t2", podName="p", phase="Frozen"), task("t3")]

    assert admitted(seated(*tasks), tasks, ceilings(2)) == ["t1", "t2"]


def test_who_has_ended_holds_no_seat() -> None:
    """Succeeded, failed, expired: the next one begins."""
    tasks = [task("t1", podName="p", phase="Succeeded"), task("t2")]

    assert "t2" in admitted(seated(*tasks), tasks, ceilings(1))


def test_who_cannot_begin_keeps_nobody_waiting() -> None:
    """A task that is not accepted, and one whose pod was refused, are passed over."""
    tasks = [task("t1", conditions=REFUSED), task("t2", conditions=POD_REFUSED), task("t3")]

    assert "t3" in admitted(seated(*tasks), tasks, ceilings(1))


def test_one_person_does_not_hold_up_the_others() -> None:
    """Alice has as many tasks as one person may have: bob, who came later, begins."""
    tasks = [task("t1", podName="p"), task("t2"), task("t3", "bob")]

    assert admitted(seated(*tasks), tasks, ceilings(3, 1)) == ["t1", "t3"]


def test_a_promise_counts_before_anything_is_written() -> None:
    """Between the plan and the pod nobody else gets the seat; when the pod is not made, somebody does."""
    tasks = [task("t1"), task("t2")]
    seats = seated(*tasks)
    seats.promise(tasks[0])
    while_promised = admitted(seats, tasks, ceilings(1))
    seats.withdraw(tasks[0])
    seats.note(tasks[0], None)

    assert [while_promised, admitted(seats, tasks[1:], ceilings(1))] == [["t1"], ["t2"]]


def test_an_end_calls_only_whose_turn_it_is() -> None:
    """Of a thousand that wait, the end of one task brings one to the operator's desk."""
    world, queue = World(), WorkQueue[Key](time.monotonic)
    news = News(world, queue, lambda _name, _enrolled: None)
    role = {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentRole",
        "metadata": {"name": "fixer", "namespace": "agents", "uid": "uid-fixer", "resourceVersion": "1"},
        "spec": {"ceilings": {"tasks": 1}},
    }
    news.role(role, gone=False)
    running = task("t0", podName="p", phase="Running")
    news.task(running, gone=False)
    for number in range(1000):
        news.task(task(f"t{number + 1}"), gone=False)
    drain(queue)
    ended = task("t0", podName="p", phase="Succeeded")
    ended["metadata"]["resourceVersion"] = "2"
    news.task(ended, gone=False)

    assert drain(queue) == {Key(TASK, "agents", "t0"), Key(TASK, "agents", "t1")}


def drain(queue: WorkQueue[Key]) -> set[Key]:
    """The keys of tasks that wait to be looked at."""
    found = set()
    while (key := queue.agenda.take()) is not None:
        found.add(key)
        queue.agenda.done(key)
    return {key for key in found if key.kind == TASK}


class Line(RuleBasedStateMachine):
    """Tasks come, begin when they are admitted, end and go, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.seats = Seats()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.bounds = ceilings(3, 2)
        self.count = 0

    def change(self, name: str, found: dict[str, Any] | None) -> None:
        """Tell the seats."""
        self.seats.note(self.tasks.get(name), found)
        self.tasks.pop(name, None)
        if found is not None:
            self.tasks[name] = found

    @precondition(lambda self: self.count < 60)
    @rule(who=st.sampled_from(["alice", "bob", "carol"]))
    def come(self, who: str) -> None:
        """One more task."""
        self.count += 1
        self.change(f"t{self.count}", task(f"t{self.count}", who))

    @rule()
    def begin(self) -> None:
        """Whoever is called begins."""
        for name in self.seats.next(("agents", "fixer"), self.bounds):
            found = self.tasks[name]
            assert self.seats.admits(found, self.bounds)
            self.seats.promise(found)
            self.change(name, {**found, "status": {"podName": "p"}})

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), gone=st.booleans())
    def end(self, data: st.DataObject, gone: bool) -> None:
        """A task ends, or is deleted, whether it had begun or not."""
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        ended = {**self.tasks[name], "status": {"podName": "p", "phase": "Succeeded"}}
        self.change(name, None if gone else ended)

    @invariant()
    def never_more_than_the_seats(self) -> None:
        """Three of the role, two of one person."""
        running = [found for found in self.tasks.values() if found["status"] == {"podName": "p"}]
        people = [found["spec"]["requestedBy"] for found in running]

        assert len(running) <= 3
        assert all(people.count(who) <= 2 for who in people)

    @invariant()
    def nobody_waits_beside_a_free_seat(self) -> None:
        """Whoever could begin is called, and it is the oldest."""
        running = [found for found in self.tasks.values() if found["status"] == {"podName": "p"}]
        people = [found["spec"]["requestedBy"] for found in running]
        waiting = sorted(
            (found["metadata"]["creationTimestamp"], name)
            for name, found in self.tasks.items()
            if not found["status"] and people.count(found["spec"]["requestedBy"]) < 2
        )
        called = self.seats.next(("agents", "fixer"), self.bounds)

        assert called[:1] == ([name for _, name in waiting[:1]] if len(running) < 3 else [])


TestLine = Line.TestCase
TestLine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
