"""The ledger's two lanes: questions never keep redemptions, outcomes and revocations waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from doorward.core.decision import Denial
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import Granted
from doorward.ledger.lanes import MAX_WAITING, RESERVED, Lanes

NO = Denial(Code.NO_RULE, "no")


@contextmanager
def stuck(book: Any) -> Iterator[None]:
    """The writer is busy until the context is left."""
    busy, done = threading.Event(), threading.Event()

    def wait(_: Any) -> None:
        busy.set()
        done.wait(60)

    book.ledger._writer.submit(wait)
    busy.wait(60)
    try:
        yield
    finally:
        done.set()


async def test_a_flood_of_questions_leaves_room_for_what_matters(book: Any) -> None:
    """Refused are the questions; what spends, settles or stops is taken, and committed before them."""
    session = await book.session()
    granted = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    assert isinstance(granted, Granted)
    with stuck(book):
        waiting = [
            asyncio.ensure_future(book.ledger.deny(book.ask(session, f"r{number}"), NO, book.terms))
            for number in range(MAX_WAITING)
        ]
        await asyncio.sleep(0)
        vital = [
            asyncio.ensure_future(book.ledger.redeem(book.claim(granted.capability), book.terms.epoch)),
            asyncio.ensure_future(book.ledger.latch("r-1", ("task:agents/other",))),
            asyncio.ensure_future(book.ledger.freeze("other", "because", Cause.BURSTS)),
        ]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    redeemed, *_ = await asyncio.gather(*vital)
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    story = book.events()

    assert len(refused) == RESERVED + 1
    assert {refusal.code for refusal in refused} == {Code.UNAVAILABLE}
    assert redeemed.redemption
    assert story.index("capability.redeemed") < story.index("action.denied")
    assert story.index("revocation.latched") < story.index("action.denied")


def test_each_lane_keeps_its_order() -> None:
    """Vital things first, and the first of them first."""
    lanes: Lanes[str] = Lanes()
    for item, vital in (("a", False), ("B", True), ("c", False), ("D", True)):
        lanes.put(item, vital=vital)

    assert [lanes.get() for _ in range(4)] == ["B", "D", "a", "c"]
    assert lanes.empty()
