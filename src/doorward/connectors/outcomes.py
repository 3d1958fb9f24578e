"""Outcomes reach the broker: tried at once, then again until acknowledged, in a bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from doorward.connectors.broker import Outcome
from doorward.errors import Code, Refusal
from doorward.telemetry import log

CAPACITY: Final = 1000
"""Outcomes that may wait. While as many wait, nothing new is carried out."""

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 10.0
_TEMPORARY: Final = frozenset({Code.UNAVAILABLE, Code.RATE_LIMITED})

Report = Callable[[Outcome], Awaitable[None]]


class Outcomes:
    """Tells the broker what became of each redemption.

    One that is never told becomes `unknown` at the broker: losing this memory is safe, only less exact.
    """

    def __init__(self, report: Report, first_delay: float = _FIRST_DELAY) -> None:
        self._report = report
        self._first_delay = first_delay
        self._waiting: deque[Outcome] = deque()
        self._added = asyncio.Event()
        self._log = log.get(__name__)

    @property
    def waiting(self) -> int:
        """How many the broker has not acknowledged."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise `Refusal(unavailable)` while too many outcomes wait: what cannot be told is not done."""
        if len(self._waiting) >= CAPACITY:
            raise Refusal(
                Code.UNAVAILABLE,
                "too many outcomes wait for the broker",
                ask="try again when the broker answers",
            )

    async def tell(self, outcome: Outcome) -> None:
        """Report now; what the broker does not acknowledge waits for `run`."""
        if not await self._settled(outcome):
            self._waiting.append(outcome)
            self._added.set()

    async def run(self) -> None:
        """Report what waits, for ever, oldest first, with growing pauses while the broker is silent."""
        delay = self._first_delay
        while True:
            await self._added.wait()
            await asyncio.sleep(delay)
            delay = self._first_delay if await self.flush() else min(2 * delay, _LONGEST_DELAY)

    async def flush(self) -> bool:
        """Report what waits once. True when nothing is left."""
        while self._waiting:
            if not await self._settled(self._waiting[0]):
                return False
            self._waiting.popleft()
        self._added.clear()
        return True

    async def _settled(self, outcome: Outcome) -> bool:
        try:
            await self._report(outcome)
        except Refusal as refusal:
            if refusal.code in _TEMPORARY:
                return False
            self._log.error("outcome refused", redemption=outcome.redemption, code=refusal.code.value)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.warning("outcome not heard", redemption=outcome.redemption, error=type(error).__name__)
            return False
        return True
