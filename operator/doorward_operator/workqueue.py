"""What to look at next: each key once, one worker per key, failures later and later.

`Agenda` is the bookkeeping: no clock, no tasks, every moment is an argument. `WorkQueue` is the
asyncio edge around it.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from doorward.kube import Backoff

K = TypeVar("K", bound=Hashable)


class Agenda(Generic[K]):
    """Keys that are ready, being worked on, or due later."""

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._heap: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._ready) + len(self._again)

    @property
    def ready(self) -> int:
        """How many keys a worker could take now."""
        return len(self._ready)

    @property
    def active(self) -> int:
        """How many keys are being worked on."""
        return len(self._active)

    @property
    def delayed(self) -> int:
        """How many keys are due later."""
        return len(self._due)

    def add(self, key: K) -> None:
        """Look at the key soon; while it is being worked on: again afterwards."""
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)

    def add_at(self, key: K, when: float) -> None:
        """Look at the key at that moment, or earlier if it was due earlier."""
        if self._due.get(key, float("inf")) <= when:
            return
        self._due[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))

    def advance(self, now: float) -> None:
        """Make ready what is due."""
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:  # otherwise an earlier entry has taken its place
                del self._due[key]
                self.add(key)

    def next_due(self) -> float | None:
        """When `advance` has something to do."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self) -> K | None:
        """The next key, which nobody else gets before `done`."""
        if not self._ready:
            return None
        key = self._ready.popleft()
        self._waiting.discard(key)
        self._active.add(key)
        return key

    def done(self, key: K) -> None:
        """The key is not being worked on any more."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def failed(self, key: K, now: float, at_least: float = 0.0) -> float:
        """Look at the key again, later with each failure in a row; gives the seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(self._failures[key]))
        self.add_at(key, now + delay)
        return delay

    def forget(self, key: K) -> None:
        """The key went well: its next failure is its first."""
        self._failures.pop(key, None)


class WorkQueue(Generic[K]):
    """An agenda that workers wait on. Not thread-safe: everything runs on one loop."""

    def __init__(self, clock: Callable[[], float], backoff: Backoff | None = None) -> None:
        self.clock = clock
        self.agenda: Agenda[K] = Agenda(backoff or Backoff(base=0.005, limit=60.0))
        self._workers: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = False
        self._closed = False
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, key: K) -> None:
        """Look at the key soon."""
        self.agenda.add(key)
        self._wake()

    def add_at(self, key: K, when: float) -> None:
        """Look at the key at that moment of the clock."""
        self.agenda.add_at(key, when)
        self._set_alarm()

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Look at the key again after its backoff; gives the seconds."""
        delay = self.agenda.failed(key, self.clock(), at_least)
        self._set_alarm()
        return delay

    def forget(self, key: K) -> None:
        """The key went well."""
        self.agenda.forget(key)

    def open(self) -> None:
        """Hand out keys: this replica leads."""
        self._open = True
        self._wake()

    def pause(self) -> None:
        """Keep collecting keys, hand out none."""
        self._open = False

    def close(self) -> None:
        """Hand out nothing any more; waiting workers get None."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._workers:
            _release(self._workers.popleft())

    async def get(self) -> K | None:
        """The next key, when there is one; None when the queue is closed."""
        while not self._closed:
            self.agenda.advance(self.clock())
            if self._open and (key := self.agenda.take()) is not None:
                self._idle.clear()
                return key
            self._set_alarm()
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._workers.append(turn)
            await turn
        return None

    def done(self, key: K) -> None:
        """The worker has finished with the key."""
        self.agenda.done(key)
        if self.agenda.active == 0:
            self._idle.set()
        self._wake()

    async def drained(self) -> None:
        """Wait until nobody works on anything."""
        await self._idle.wait()

    def _wake(self) -> None:
        """Let as many workers look as there are keys."""
        if not self._open:
            return
        for _ in range(min(self.agenda.ready, len(self._workers))):
            _release(self._workers.popleft())

    def _ring(self) -> None:
        self._alarm = None
        self.agenda.advance(self.clock())
        self._wake()
        self._set_alarm()

    def _set_alarm(self) -> None:
        due = self.agenda.next_due()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due is not None and not self._closed:
            delay = max(0.001, due - self.clock())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._ring)


def _release(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # a cancelled worker is done already
        turn.set_result(None)
