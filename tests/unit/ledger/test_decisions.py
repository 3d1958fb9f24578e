"""Decisions: durable before the answer, the same answer for the same request, never over a limit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward.core.decision import Denial, Reservation
from doorward.errors import Code
from doorward.ledger import Denied, Granted
from doorward.ledger.counters import place


async def test_asking_again_gives_the_same_capability_and_takes_nothing(book: Any) -> None:
    """Idempotent per (session, request): one event, one reservation, one capability (I5)."""
    session, permit = await book.session(), book.permit(Reservation("task:x", 1))
    first = await book.ledger.permit(book.ask(session), permit, book.terms)
    again = await book.ledger.permit(book.ask(session), permit, book.terms)

    assert isinstance(first, Granted)
    assert first == again
    assert await book.ledger.used([("task:x", None)]) == [1]


async def test_a_request_id_is_for_one_action(book: Any) -> None:
    """The same id with other arguments is refused, not answered with the earlier capability."""
    session = await book.session()
    await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    other = await book.ledger.permit(book.ask(session, digest="sha256:e"), book.permit(), book.terms)

    assert isinstance(other, Denied)
    assert other.denial.code == Code.MALFORMED


async def test_a_no_is_remembered_too(book: Any) -> None:
    """A request that was denied stays denied; trying again takes a new request."""
    session = await book.session()
    no = Denial(Code.NO_RULE, "no rule names it", rule="r", allowed="x", ask="y")
    denied = await book.ledger.deny(book.ask(session), no, book.terms)
    again = await book.ledger.permit(book.ask(session), book.permit(), book.terms)

    assert again == denied


async def test_a_no_does_not_keep_what_the_agent_wrote(book: Any) -> None:
    """A megabyte in an argument is quoted to its agent, and never written down."""
    session, long = await book.session(), "x" * 1_000_000
    no = Denial(Code.OUT_OF_SCOPE, long, rule="r", allowed=long, ask=long)
    first = await book.ledger.deny(book.ask(session), no, book.terms)
    again = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    kept = Denial(Code.OUT_OF_SCOPE, long[:512], rule="r", allowed=long[:512], ask=long[:512])

    assert (first.denial, again.denial) == (no, kept)


async def test_a_limit_that_is_reached_denies_and_takes_nothing(book: Any) -> None:
    """All reservations hold together or none does, and the policy finds the words."""
    session = await book.session()
    wishes = (Reservation("a", 10), Reservation("b", 0))
    denied = await book.ledger.permit(book.ask(session), book.permit(*wishes), book.terms)

    assert (denied.denial.code, denied.denial.detail) == (Code.LIMIT_EXCEEDED, "0 of 0")
    assert await book.ledger.used([("a", None), ("b", None)]) == [0, 0]
    assert book.events()[-1] == "action.denied"


async def test_parallel_requests_never_take_more_than_the_limit(book: Any) -> None:
    """64 at once on a limit of 10: ten yeses (I4)."""
    session, permit = await book.session(), book.permit(Reservation("a", 10))
    answers = await asyncio.gather(
        *(
            book.ledger.permit(book.ask(session, f"request-{number}"), permit, book.terms)
            for number in range(64)
        )
    )

    assert sum(isinstance(answer, Granted) for answer in answers) == 10


async def test_too_many_denials_freeze_the_task(book: Any) -> None:
    """An agent cannot fill the disk with noes."""
    session = await book.session()
    book.terms = type(book.terms)("epoch-1", 60, 3, book.terms.over_limit)
    no = Denial(Code.NO_RULE, "no rule names it")
    froze = [
        (await book.ledger.deny(book.ask(session, str(number)), no, book.terms)).froze for number in range(4)
    ]

    assert froze == [False, False, False, True]
    assert book.events()[-1] == "task.frozen"


async def test_what_is_revoked_is_denied_whatever_the_policy_said(book: Any) -> None:
    """The latch is read in the transaction of the decision."""
    session = await book.session()
    await book.ledger.latch("revocation-1", ["role:agents/bug-fixer"], reason="r")
    denied = await book.ledger.permit(book.ask(session), book.permit(), book.terms)

    assert denied.denial.code == Code.REVOKED


async def test_events_hold_no_more_than_a_bounded_text_of_the_agent(book: Any) -> None:
    """A megabyte in a resource or a detail does not become a megabyte on disk."""
    session = await book.session()
    ask = book.ask(session)
    long = type(ask)(
        session, "r", "c" * 10_000, "a" * 10_000, None, "sha256:d", {"repository": "x" * 10_000, "number": 7}
    )
    await book.ledger.deny(long, Denial(Code.NO_RULE, "d" * 10_000), book.terms)
    body = json.loads(book.ledger.reader.events()[-1].body)

    assert {name: len(body[name]) for name in ("connector", "action", "detail")} == {
        "connector": 512,
        "action": 512,
        "detail": 512,
    }
    assert (len(body["resource"]["repository"]), body["resource"]["number"]) == (512, 7)


async def test_a_window_slides(book: Any) -> None:
    """Two in any minute: the third waits until the first is more than a minute old."""
    session, permit = await book.session(), book.permit(Reservation("a", 2, 1, 60))
    answers = []
    for number, now in enumerate([1000.0, 1059.0, 1059.9, 1066.0, 1067.0]):
        book.now = now
        answers.append(await book.ledger.permit(book.ask(session, f"r{number}"), permit, book.terms))

    assert [isinstance(answer, Granted) for answer in answers] == [True, True, False, True, False]


@given(
    window=st.integers(1, 4000),
    times=st.lists(st.floats(0, 20_000), min_size=1, max_size=60),
    limit=st.integers(1, 5),
)
def test_no_stretch_of_the_window_holds_more_than_the_limit(
    window: int, times: list[float], limit: int
) -> None:
    """Wherever a window begins: aligned windows would allow twice the limit across their edge."""
    taken: list[tuple[float, int]] = []
    for now in sorted(times):
        at = place(window, now)
        if sum(bucket > at.after for _, bucket in taken) < limit:
            taken.append((now, at.bucket))

    for begin, _ in taken:
        assert sum(begin <= now < begin + window for now, _ in taken) <= limit
