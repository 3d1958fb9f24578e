"""What each task has been doing, and what follows: slower, with people, or not at all.

Counting happens in memory and before anything that costs; what follows acts at once and is written into
the ledger behind everybody's back, again and again until it is there. Two brokers count each for itself:
a task that floods both is noticed at most twice as late. What one has found holds at the other from the
task's next call on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from doorward.broker.excess import Excess
from doorward.broker.grading import Counts, Standing, Thresholds, follow, judge
from doorward.broker.metrics import Metrics
from doorward.core.clock import Clock
from doorward.core.grade import Cause, Grade
from doorward.errors import Code, Refusal
from doorward.ledger import Ledger
from doorward.telemetry import log
from doorward.telemetry.events import Event

MINUTE: Final = 60.0
HOUR: Final = 3600.0
LOOK_SECONDS: Final = 10.0
"""Between two looks at what time takes back and what is due to be written."""
PATIENT: Final = frozenset({Code.APPROVAL_REQUIRED, Code.APPROVAL_PENDING, Code.UNAVAILABLE})
"""Noes that are nobody's fault: they neither count against a task nor go unwritten."""
_AGAIN_SECONDS: Final = 0.5
_PARTS: Final = 12
_TASKS: Final = 20_000
_LOG: Final = log.get(__name__)


class Window:
    """A sum over the last seconds, in twelfths; a twelfth that is partly inside counts wholly."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _PARTS
        self._parts: deque[tuple[int, int]] = deque()

    def add(self, now: float, count: int = 1) -> None:
        """Count."""
        part = int(now // self._width)
        if self._parts and self._parts[-1][0] >= part:
            last, had = self._parts.pop()
            self._parts.append((last, had + count))
        else:
            self._parts.append((part, count))

    def total(self, now: float) -> int:
        """What was counted within the window."""
        after = int(now // self._width) - _PARTS
        while self._parts and self._parts[0][0] < after:
            self._parts.popleft()
        return sum(count for _, count in self._parts)


@dataclass(slots=True)
class _Seen:
    denials: Window = field(default_factory=lambda: Window(MINUTE))
    bursts: Window = field(default_factory=lambda: Window(MINUTE))
    replays: Window = field(default_factory=lambda: Window(HOUR))
    denied: int = 0

    def counts(self, now: float) -> Counts:
        """The windows at this moment."""
        return Counts(self.denials.total(now), self.denied, self.bursts.total(now), self.replays.total(now))


Write = Callable[[], Awaitable[object]]


@dataclass
class Conduct:
    """Counts for every task of this process. Reading never waits."""

    ledger: Ledger
    metrics: Metrics
    clock: Clock
    thresholds: Thresholds
    hold_seconds: float
    slow_factor: float
    max_denials: int
    denials: Excess
    """Noes of a task, by its UID."""
    refusals: Excess
    """Refused redemptions of a connector, by its account."""
    repeats: Excess = field(default_factory=lambda: Excess(3))
    """Refused redemptions of a capability, by its id."""
    freeze: Callable[[str, str, Cause | None], None] = lambda _uid, _story, _cause: None
    """Told of each task that this froze."""
    written: Callable[[str], None] = lambda _uid: None
    """Told of each of those once the ledger has it."""
    told: Callable[[str, Standing], None] = lambda _uid, _standing: None
    """Told of each other change."""
    lives: Callable[[str], bool] = lambda _uid: True
    """Whether a task is still there to be judged."""
    _seen: OrderedDict[str, _Seen] = field(default_factory=OrderedDict)
    _standings: dict[str, Standing] = field(default_factory=dict)
    """What this process has found."""
    _heard: dict[str, Standing] = field(default_factory=dict)
    """What the ledger says that some broker has found."""
    _todo: asyncio.Queue[Write] = field(default_factory=asyncio.Queue)

    def standing(self, task_uid: str) -> Standing:
        """How a task is treated: by the graver of what was found here and what was heard."""
        found, heard = self._found(task_uid), self._heard.get(task_uid, _CALM)
        return heard if heard.grade > found.grade else found

    def cost(self, task_uid: str) -> float:
        """What one call of a task takes from its bucket."""
        return self.slow_factor if self.standing(task_uid).grade >= Grade.SLOW else 1.0

    def cautious(self, task_uid: str) -> bool:
        """Whether whatever changes something needs a person."""
        return self.standing(task_uid).grade >= Grade.CAUTIOUS

    def restore(self, task_uid: str, standing: Standing) -> None:
        """Take over what the ledger holds."""
        if standing.grade is not Grade.CALM:
            self._standings[task_uid] = standing

    def hear(self, task_uid: str, standing: Standing) -> None:
        """Take over what the ledger says at this moment; whoever wrote it also takes it back."""
        if standing.grade is Grade.CALM:
            self._heard.pop(task_uid, None)
        else:
            self._heard[task_uid] = standing

    def forget(self, task_uid: str) -> None:
        """The task is over or was thawed: it begins anew."""
        self._heard.pop(task_uid, None)
        self._seen.pop(task_uid, None)
        self._standings.pop(task_uid, None)

    def quiet(self, task_uid: str) -> bool:
        """Whether a no is only answered and counted: enough were written within this minute."""
        return self.denials.full(task_uid, self.clock())

    def denied(self, task_uid: str, code: Code, *, written: bool) -> None:
        """A no; `written` is whether the ledger has it."""
        now = self.clock()
        if written:
            self.denials.wrote(task_uid, now)
        else:
            self.denials.count(task_uid, code.value, now)
        if code not in PATIENT:
            seen = self._of(task_uid)
            seen.denials.add(now)
            seen.denied += 1
            self._look(task_uid, now)

    def burst(self, task_uid: str) -> None:
        """A call that came too fast."""
        self.metrics.burst()
        self._of(task_uid).bursts.add(self.clock())
        self._look(task_uid, self.clock())

    def reticent(self, capability: str, redeemer: str) -> bool:
        """Whether a refused redemption is only answered and counted."""
        now = self.clock()
        return self.repeats.full(capability, now) or self.refusals.full(redeemer, now)

    def refused(self, task_uid: str, capability: str, redeemer: str, code: Code, *, written: bool) -> None:
        """A redemption was refused; a spent capability that comes again speaks against its task."""
        now = self.clock()
        if written:
            self.repeats.wrote(capability, now)
            self.refusals.wrote(redeemer, now)
        else:
            self.refusals.count(redeemer, code.value, now)
        if code is Code.REPLAYED:
            self._of(task_uid).replays.add(now)
            self._look(task_uid, now)

    async def run(self) -> None:
        """Write what follows and what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write_for_ever())
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self.look()

    def look(self, *, everything: bool = False) -> None:
        """Take back what time takes back, and put down to be written what is due or all there is."""
        now = self.clock()
        for task_uid in {*self._standings, *self._heard}:
            if self.lives(task_uid):
                self._look(task_uid, now)
            else:
                self.forget(task_uid)
        for found in self.denials.due(now, everything=everything):
            self._todo.put_nowait(
                lambda found=found: self.ledger.add_denials(  # type: ignore[misc]
                    found.key, found.codes, found.since, found.until, self.max_denials
                )
            )
        for found in self.refusals.due(now, everything=everything):
            facts = {
                "redeemer": found.key,
                "count": found.count,
                "codes": dict(found.codes),
                "since": int(found.since * 1000),
                "until": int(found.until * 1000),
            }
            self._todo.put_nowait(
                lambda facts=facts: self.ledger.record(Event.REDEMPTION_REFUSED, **facts)  # type: ignore[misc]
            )

    async def settle(self) -> None:
        """Write everything that is put down. Raises `Refusal(unavailable)` when the ledger takes nothing."""
        while not self._todo.empty():
            await self._todo.get_nowait()()

    async def _write_for_ever(self) -> None:
        while True:
            write = await self._todo.get()
            while not await _done(write):  # noqa: ASYNC110 - until the disk is back, not until an event
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _freeze(self, task_uid: str, story: str, cause: Cause) -> None:
        await self.ledger.freeze(task_uid, story, cause)
        self.written(task_uid)

    def _found(self, task_uid: str) -> Standing:
        return self._standings.get(task_uid, _CALM)

    def _of(self, task_uid: str) -> _Seen:
        seen = self._seen.pop(task_uid, None) or _Seen()
        self._seen[task_uid] = seen
        while len(self._seen) > _TASKS:
            self._seen.popitem(last=False)
        return seen

    def _look(self, task_uid: str, now: float) -> None:
        before = self._found(task_uid)
        counts = self._of(task_uid).counts(now)
        after = follow(before, judge(counts, self.thresholds), now, self.hold_seconds)
        if after == before:
            return
        if after.grade is Grade.CALM:
            self._standings.pop(task_uid, None)
        else:
            self._standings[task_uid] = after
        if after.grade is not before.grade:
            self._changed(task_uid, before, after)

    def _changed(self, task_uid: str, before: Standing, after: Standing) -> None:
        self.metrics.graded(after.grade, after.cause or before.cause)
        if after.grade is Grade.FROZEN and after.cause is not None:
            self.freeze(task_uid, after.story, after.cause)
            story, cause = after.story, after.cause
            self._todo.put_nowait(lambda: self._freeze(task_uid, story, cause))
            self.metrics.froze()
        else:
            self.told(task_uid, after)
            self._todo.put_nowait(
                lambda: self.ledger.grade(task_uid, after.grade, after.cause, after.story, after.until)
            )


_CALM: Final = Standing()


async def _done(write: Write) -> bool:
    try:
        await write()
    except Refusal as refusal:
        _LOG.warning("what a task did is not written down yet", why=str(refusal))
        return False
    return True


def standing_of(grade: int, cause: str | None, story: str | None, until: float | None) -> Standing:
    """A standing as the ledger holds it."""
    return Standing(Grade(grade), Cause(cause) if cause else None, story or "", until or 0.0)
