"""The census is made when a namespace is enrolled, and not only when its time has come."""

from __future__ import annotations

import asyncio
from typing import Any

from doorward.kube import Change, ChangeType
from doorward_webhooks.admission.caches import Caches
from doorward_webhooks.admission.census import Census, Count


class Counting(Census):
    """Looks at nothing, and says that it has been made."""

    def __init__(self) -> None:
        super().__init__(None, None, None, lambda *_: None)  # type: ignore[arg-type]
        self.made: asyncio.Queue[int] = asyncio.Queue()

    async def count(self) -> Count:
        """One more."""
        self.made.put_nowait(1)
        return Count({}, ())


def tell(caches: Caches, kind: ChangeType, *, enforced: bool) -> bool:
    """One change of a namespace; gives whether it wakes the census."""
    caches.enrolment.clear()
    labels = {"doorward.dev/enforced": "true"} if enforced else {}
    namespace: dict[str, Any] = {"metadata": {"name": "agents", "labels": labels}}
    caches.informers[-1]._on_event(Change(kind, namespace))
    return caches.enrolment.is_set()


async def test_an_enrolment_is_counted_at_once() -> None:
    """Nobody waits out the interval, which is an hour here."""
    census, woken = Counting(), asyncio.Event()
    running = asyncio.ensure_future(census.run(3600, woken))
    async with asyncio.timeout(30):
        await census.made.get()
        woken.set()
        await census.made.get()
    running.cancel()

    assert not woken.is_set()


async def test_without_news_it_is_made_when_its_time_has_come() -> None:
    """A watch may miss something; the timer does not."""
    census = Counting()
    running = asyncio.ensure_future(census.run(0.001, asyncio.Event()))
    async with asyncio.timeout(30):
        await census.made.get()
        await census.made.get()
    running.cancel()


def test_only_a_new_enrolment_wakes() -> None:
    """Not a relist, not a change of another label, not a namespace that leaves; coming back does."""
    caches, present = Caches(None), ChangeType.PRESENT  # type: ignore[arg-type]
    found = [
        tell(caches, present, enforced=False),
        tell(caches, present, enforced=True),
        tell(caches, present, enforced=True),
        tell(caches, ChangeType.GONE, enforced=True),
        tell(caches, present, enforced=True),
        tell(caches, present, enforced=False),
    ]

    assert found == [False, True, False, False, True, False]
    assert not caches.enrolled("agents")
