"""Two lanes to one reader: what spends, settles and takes back never waits behind what is asked.

Who floods the broker floods it with questions. A redemption, an outcome or a revocation that came
behind four thousand of them would be late or refused, and each of these makes the world safer.
"""

from __future__ import annotations

import queue
from collections import deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MAX_WAITING: Final = 4096
"""What may wait in both lanes together."""
RESERVED: Final = 1024
"""Of these, what only the fast lane gets."""


class Lanes(Generic[T]):
    """Many may put, one takes. Within a lane the order is kept."""

    def __init__(self) -> None:
        self._fast: deque[T] = deque()
        self._slow: deque[T] = deque()
        self._there: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One mark for each item in either lane."""

    def put(self, item: T, *, vital: bool = False) -> None:
        """Queue an item; a vital one goes before all that are not."""
        (self._fast if vital else self._slow).append(item)
        self._there.put(None)

    def get(self) -> T:
        """The next item; waits for one."""
        self._there.get()
        return self._fast.popleft() if self._fast else self._slow.popleft()

    def empty(self) -> bool:
        """Whether `get` would wait."""
        return self._there.empty()


def room(*, vital: bool) -> int:
    """How many may wait before an item of this lane is refused."""
    return MAX_WAITING if vital else MAX_WAITING - RESERVED
