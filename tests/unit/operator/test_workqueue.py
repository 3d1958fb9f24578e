"""The work queue: every key is looked at, no key by two workers at once, failures later and later."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from doorward.kube import Backoff
from doorward_operator.workqueue import Agenda, WorkQueue

KEYS = st.sampled_from("abcd")


class AgendaMachine(RuleBasedStateMachine):
    """Any order of additions, delays, takings and failures, on a clock of the test's own."""

    @initialize()
    def start(self) -> None:
        """An empty agenda at time 0."""
        self.now = 0.0
        self.agenda: Agenda[str] = Agenda(Backoff(base=1.0, limit=8.0, random=lambda: 1.0))
        self.owed: set[str] = set()
        self.active: set[str] = set()
        self.delayed: dict[str, float] = {}

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        """News about a key."""
        self.agenda.add(key)
        self.owed.add(key)

    @rule(key=KEYS, delay=st.integers(0, 5))
    def add_later(self, key: str, delay: int) -> None:
        """A key that is due later."""
        self.agenda.add_at(key, self.now + delay)
        self.delayed[key] = min(self.delayed.get(key, float("inf")), self.now + delay)

    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds
        self.agenda.advance(self.now)
        due = {key for key, when in self.delayed.items() if when <= self.now}
        self.owed |= due
        self.delayed = {key: when for key, when in self.delayed.items() if key not in due}

    @rule()
    def take(self) -> None:
        """A worker asks for a key."""
        key = self.agenda.take()
        if key is None:
            assert self.owed <= self.active
        else:
            assert key in self.owed - self.active
            self.owed.discard(key)
            self.active.add(key)

    @precondition(lambda self: self.active)
    @rule(data=st.data(), well=st.booleans())
    def finish(self, data: st.DataObject, *, well: bool) -> None:
        """A worker is done, well or not."""
        key = data.draw(st.sampled_from(sorted(self.active)))
        if well:
            self.agenda.forget(key)
        else:
            delay = self.agenda.failed(key, self.now)
            assert 1.0 <= delay <= 8.0
            self.delayed[key] = min(self.delayed.get(key, float("inf")), self.now + delay)
        self.agenda.done(key)
        self.active.discard(key)

    @invariant()
    def nothing_is_lost(self) -> None:
        """Whatever is owed is ready or comes after what is running; whatever is delayed has its time."""
        if hasattr(self, "agenda"):
            assert self.agenda.active == len(self.active)
            assert len(self.agenda) == len(self.owed)
            assert self.agenda.next_due() == min(self.delayed.values(), default=None)


TestAgenda = AgendaMachine.TestCase


def test_failures_come_later_and_later() -> None:
    """The wait doubles up to its limit, and starts anew after a success."""
    agenda: Agenda[str] = Agenda(Backoff(base=1.0, limit=5.0, random=lambda: 1.0))

    assert [agenda.failed("a", 0.0) for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    agenda.forget("a")
    assert agenda.failed("a", 0.0) == 1.0
    assert agenda.failed("a", 0.0, at_least=30.0) == 30.0


async def test_a_replica_that_does_not_lead_gets_no_key() -> None:
    """Keys are collected meanwhile and handed out with the lease."""
    queue: WorkQueue[str] = WorkQueue(lambda: 0.0)
    queue.add("a")
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not worker.done()

    queue.open()
    assert await worker == "a"


async def test_a_key_is_never_with_two_workers() -> None:
    """News about a key that is being worked on is looked at afterwards."""
    queue: WorkQueue[str] = WorkQueue(lambda: 0.0)
    queue.open()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not second.done()

    queue.done("a")
    assert await second == "a"


async def test_closing_lets_workers_go_and_waits_for_the_running() -> None:
    """After SIGTERM nothing is handed out, and what runs is finished."""
    queue: WorkQueue[str] = WorkQueue(lambda: 0.0)
    queue.open()
    queue.add("a")
    assert await queue.get() == "a"
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.close()
    assert await waiting is None

    drained = asyncio.create_task(queue.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    queue.done("a")
    await drained


async def test_a_delayed_key_wakes_a_worker() -> None:
    """No worker polls: one alarm is set for the key that is due first."""
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(loop.time)
    queue.open()
    queue.add_at("late", loop.time() + 3600)
    queue.add_at("soon", loop.time() + 0.01)

    async with asyncio.timeout(10):
        assert await queue.get() == "soon"
    queue.close()
