"""Every boundary of every kind of counter: rows are the counters, columns what may happen to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.decision import Reservation, Unit
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import Denied, Door, Evidence, Granted, Seats

MINUTE, DAY = 60, 86_400
LIMIT = 6
"""Actions that fit into each counter of the table."""
MANY = LIMIT + 2

ROWS = {
    "per task": Reservation("task:u/rule:r", LIMIT),
    "per minute": Reservation("role:ns/r/minute", LIMIT, window_seconds=MINUTE),
    "per day": Reservation("requester:ns/alice/role:r/day", LIMIT, window_seconds=DAY),
    "tokens of a task": Reservation("task:u/tokens", LIMIT * 10 + 9, 10, None, Unit.TOKENS, 10),
    "money a day": Reservation("connector:c/ns/spend/day", LIMIT * 7, 7, DAY, Unit.SPEND, 7),
    "bytes of a task": Reservation("task:u/bytes", LIMIT * 100, 100, None, Unit.BYTES, 90),
    "open objects": Reservation("role:ns/r/open:issue", LIMIT, unit=Unit.OPEN, kind="issue"),
}


class Asker:
    """Asks for the same action again and again, through whichever ledger is open."""

    def __init__(self, book: Any, wish: Reservation, name: str = "row") -> None:
        self.book, self.wish, self.name = book, wish, name
        self.number = 0
        self.session = ""

    async def __call__(self, times: int, ledger: Any = None) -> int:
        """How many of so many, asked at once, are permitted."""
        self.session = self.session or await self.book.session()
        permit, asks = self.book.permit(self.wish), []
        for _ in range(times):
            self.number += 1
            asks.append(self.book.ask(self.session, f"{self.name}-{self.number}"))
        into = ledger or self.book.ledger
        answers = await asyncio.gather(*(into.permit(ask, permit, self.book.terms) for ask in asks))
        return sum(isinstance(answer, Granted) for answer in answers)


async def at_and_above(book: Any, ask: Asker) -> list[int]:
    """Exactly the limit fits, one after the other, and not one more."""
    return [await ask(1) for _ in range(LIMIT + 2)]


async def in_parallel(book: Any, ask: Asker) -> list[int]:
    """64 at once get what fits."""
    return [await ask(64), await ask(1)]


async def across_a_restart(book: Any, ask: Asker) -> list[int]:
    """What was taken before counts after."""
    first = await ask(LIMIT - 1)
    book.restart()
    return [first, await ask(MANY)]


async def between_replicas(book: Any, ask: Asker) -> list[int]:
    """Two brokers on one ledger share every counter."""
    other = type(book)(book.url, book.now)
    try:
        found = await asyncio.gather(ask(9), ask(9, other.ledger))
        return [sum(found), await ask(1, other.ledger)]
    finally:
        other.ledger.close()


async def over_midnight(book: Any, ask: Asker) -> list[int]:
    """No window begins anew with a day, an hour or a minute of the calendar."""
    midnight = (book.now // DAY + 1) * DAY
    book.now = midnight - 1.0
    first = await ask(LIMIT)
    book.now = midnight + 1.0
    return [first, await ask(MANY)]


async def clock_set_forward(book: Any, ask: Asker) -> list[int]:
    """Whoever sets the clock a week ahead, and back, and ahead, gets nothing for it."""
    first = await ask(LIMIT)
    found = []
    for book.wrong in (7 * DAY, 0.0, 14 * DAY):
        book.now += 1
        found.append(await ask(MANY))
    return [first, *found]


async def clock_set_back(book: Any, ask: Asker) -> list[int]:
    """A clock that is set back frees nothing."""
    first = await ask(LIMIT)
    book.wrong = -7.0 * DAY
    book.now += 1
    return [first, await ask(MANY)]


async def clock_set_back_and_a_restart(book: Any, ask: Asker) -> list[int]:
    """A process that starts with a clock of yesterday goes on where the ledger was."""
    first = await ask(LIMIT)
    book.wrong = -7.0 * DAY
    book.now += 1
    book.restart()
    return [first, await ask(MANY)]


COLUMNS: dict[Callable[[Any, Asker], Awaitable[list[int]]], list[int]] = {
    at_and_above: [1] * LIMIT + [0, 0],
    in_parallel: [LIMIT, 0],
    across_a_restart: [LIMIT - 1, 1],
    between_replicas: [LIMIT, 0],
    over_midnight: [LIMIT, 0],
    clock_set_forward: [LIMIT, 0, 0, 0],
    clock_set_back: [LIMIT, 0],
    clock_set_back_and_a_restart: [LIMIT, 0],
}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.__name__)
async def test_each_limit_holds(book: Any, column: Any) -> None:
    """Never more than the limit, whatever happens to processes and clocks."""
    book.terms = replace(book.terms, max_denials=10_000)
    expected, found = dict.fromkeys(ROWS, COLUMNS[column]), {}
    for number, (row, wish) in enumerate(ROWS.items()):
        found[row] = await column(book, Asker(book, wish, f"row-{number}"))
        book.wrong = 0.0

    assert expected == found


@pytest.mark.parametrize("wrong", [0.0, -7.0 * DAY, 7.0 * DAY])
async def test_room_comes_back_with_time_alone(book: Any, wrong: float) -> None:
    """A window and a twelfth later there is room again, also where the clock was set meanwhile."""
    found = {}
    for number, (row, wish) in enumerate(ROWS.items()):
        ask = Asker(book, wish, f"row-{number}")
        await ask(LIMIT)
        book.wrong = wrong
        book.now += (wish.window_seconds or DAY) * 13 / 12 + 1
        found[row] = await ask(MANY)

    assert found == {row: LIMIT if wish.window_seconds else 0 for row, wish in ROWS.items()}


async def test_a_restart_after_a_rest_takes_the_wall_clock(book: Any) -> None:
    """While nobody ran, only the wall clock knows how long it was."""
    ask = Asker(book, ROWS["per day"])
    await ask(LIMIT)
    book.wrong = 2.0 * DAY
    book.restart()

    assert await ask(MANY) == LIMIT


TOKENS = Reservation("task:u/tokens/day", 1000, 100, DAY, Unit.TOKENS, 100)
BYTES = Reservation("task:u/bytes", 1000, 130, None, Unit.BYTES, 100)
OPEN = ROWS["open objects"]
ISSUE = {"kind": "issue", "id": "7"}


async def test_a_start_with_a_clock_of_yesterday_blocks_nothing(book: Any) -> None:
    """The ledger goes on from the time that it has written down, at the pace of a second in a second."""
    ask = Asker(book, ROWS["per day"])
    await ask(LIMIT)
    book.wrong = -7.0 * DAY
    book.restart()
    full = await ask(1)
    book.now += DAY * 13 / 12 + 1

    assert [full, await ask(MANY)] == [0, LIMIT]


LEFT = [
    (TOKENS, {"usage": {"tokens": 30}}, 30),
    (TOKENS, {"usage": {"tokens": 0}}, 0),
    (TOKENS, {"usage": {"tokens": 100}}, 100),
    (TOKENS, {"usage": {"tokens": 170}}, 170),
    (TOKENS, {"usage": {"spend": 3}}, 100),
    (TOKENS, {}, 100),
    (TOKENS, {"outcome": "failed", "usage": {"tokens": 30}}, 30),
    (TOKENS, {"outcome": "failed", "sent": False}, 0),
    (TOKENS, {"outcome": "unknown"}, 100),
    (BYTES, {"bytes": 12}, 42),
    (BYTES, {"bytes": 5000}, 130),
    (BYTES, {"outcome": "failed", "sent": False, "bytes": 0}, 0),
    (OPEN, {"references": (ISSUE,)}, 1),
    (OPEN, {"references": ()}, 1),
    (OPEN, {"outcome": "unknown", "references": ()}, 1),
    (OPEN, {"outcome": "failed", "status": 422, "references": ()}, 0),
    (ROWS["per task"], {"outcome": "failed", "status": 422}, 1),
    (ROWS["per task"], {"outcome": "failed", "sent": False}, 0),
]


async def test_what_an_outcome_leaves_counted(book: Any) -> None:
    """The most is set aside and what was used is counted; what is not said was used up to the most."""
    session, found = await book.session(), []
    for number, (wish, changes, _) in enumerate(LEFT):
        own = replace(wish, key=f"{wish.key}/{number}")
        await act(book, session, number, own, **changes)
        found += await used(book, own)

    assert found == [expected for _, _, expected in LEFT]


async def test_an_outcome_settles_once(book: Any) -> None:
    """Told twice, it gives back once."""
    session = await book.session()
    granted = await book.ledger.permit(book.ask(session), book.permit(TOKENS, OPEN), book.terms)
    redeemed = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    told = book.report(redeemed.redemption, usage={"tokens": 30}, references=(ISSUE,))
    await book.ledger.report(told)
    await book.ledger.report(told)
    with pytest.raises(Refusal) as caught:
        await book.ledger.report(replace(told, usage={"tokens": 1}))

    assert caught.value.code == Code.REPLAYED
    assert await used(book, TOKENS, OPEN) == [30, 1]


async def used(book: Any, *wishes: Reservation) -> list[int]:
    """What is taken of each counter."""
    found: list[int] = await book.ledger.used([(wish.key, wish.window_seconds) for wish in wishes])
    return found


async def test_without_an_outcome_the_most_stays(book: Any) -> None:
    """A settlement that never comes is one at the most; one that comes too late changes nothing."""
    session = await book.session()
    granted = await book.ledger.permit(book.ask(session), book.permit(TOKENS, BYTES), book.terms)
    redeemed = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    book.now += 1000
    await book.ledger.sweep()
    lost = await used(book, TOKENS, BYTES)
    await book.ledger.report(book.report(redeemed.redemption, usage={"tokens": 1}))

    assert [lost, await used(book, TOKENS, BYTES)] == [[100, 130], [100, 130]]


@pytest.mark.parametrize(("outcome_", "expected"), [("succeeded", 1), ("failed", 0)])
async def test_a_late_outcome_still_tells_of_an_object(book: Any, outcome_: str, expected: int) -> None:
    """Whether there is one is a fact, not a matter of time."""
    session = await book.session()
    granted = await book.ledger.permit(book.ask(session), book.permit(OPEN), book.terms)
    redeemed = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    book.now += 1000
    await book.ledger.sweep()
    lost = await used(book, OPEN)
    references = (ISSUE,) if outcome_ == "succeeded" else ()
    await book.ledger.report(book.report(redeemed.redemption, outcome=outcome_, references=references))

    assert [lost, await used(book, OPEN)] == [[1], [expected]]


async def test_what_nobody_spends_comes_back(book: Any) -> None:
    """Asking and never acting blocks nobody for good; the capability is dead before the room is free."""
    session, counted = await book.session(), ROWS["per task"]
    granted = await book.ledger.permit(book.ask(session), book.permit(TOKENS, OPEN, counted), book.terms)
    book.now += 119
    await book.ledger.sweep()
    early = await used(book, TOKENS, OPEN, counted)
    book.now += 10
    await book.ledger.sweep()
    late = await used(book, TOKENS, OPEN, counted)
    book.wrong = -1000.0
    with pytest.raises(Refusal) as caught:
        await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    await book.ledger.sweep()

    assert [early, late, await used(book, TOKENS, OPEN, counted)] == [[100, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert caught.value.code == Code.CAPABILITY_EXPIRED


async def act(book: Any, session: str, number: int, *wishes: Reservation, **changes: Any) -> None:
    """One action from its decision to its outcome."""
    ask = book.ask(session, f"act-{number}")
    granted = await book.ledger.permit(ask, book.permit(*wishes), book.terms)
    redeemed = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    await book.ledger.report(book.report(redeemed.redemption, **changes))


SEEN = [
    ({"references": ({**ISSUE, "state": "closed"},)}, 1),
    ({"references": ({**ISSUE, "state": "open"},)}, 2),
    ({"references": (ISSUE,)}, 2),
    ({"references": ({**ISSUE, "kind": "pull", "state": "closed"},)}, 2),
    ({"references": ({**ISSUE, "id": "9", "state": "closed"},)}, 2),
    ({"references": ({**ISSUE, "state": "closed"},), "outcome": "unknown"}, 2),
    ({"references": ({**ISSUE, "id": 7, "state": "closed"},)}, 1),
]


async def test_an_object_counts_until_it_is_seen_closed(book: Any) -> None:
    """What a connector reads upstream frees the place of exactly that object, once."""
    session, found = await book.session(), []
    for number, (seen, _) in enumerate(SEEN):
        own = replace(OPEN, key=f"{OPEN.key}/{number}")
        seven, eight = ({**ISSUE, "id": f"{number}{last}"} for last in (7, 8))
        await act(book, session, 4 * number, own, references=(seven,))
        await act(book, session, 4 * number + 1, own, references=(eight,))
        told = tuple({**item, "id": type(item["id"])(f"{number}{item['id']}")} for item in seen["references"])
        for again in (2, 3):
            await act(book, session, 4 * number + again, **{**seen, "references": told})
        found += await used(book, own)

    assert found == [expected for _, expected in SEEN]


async def test_an_object_of_another_repository_frees_nothing(book: Any) -> None:
    """Issue 7 of another place is another issue."""
    session = await book.session()
    await act(book, session, 1, OPEN, references=(ISSUE,))
    elsewhere = replace(book.ask(session, "other"), resource={"repository": "acme/api"})
    granted = await book.ledger.permit(elsewhere, book.permit(), book.terms)
    redeemed = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    seen = ({**ISSUE, "state": "closed"},)
    await book.ledger.report(book.report(redeemed.redemption, references=seen))

    assert await used(book, OPEN) == [1]


SEATS = [(Seats(), 5), (Seats(2), 2), (Seats(None, 1), 3), (Seats(4, 2), 4), (Seats(1, 5), 1)]


async def test_tasks_at_the_same_time(book: Any) -> None:
    """Five tasks of three people begin at once: as many get a session as there are seats, the rest waits."""
    people, found = ["alice", "alice", "bob", "alice", "carol"], []
    for role, (seats, _) in enumerate(SEATS):
        begun = (
            begin(book, 10 * role + number, who, seats, f"role-{role}") for number, who in enumerate(people)
        )
        found.append((await asyncio.gather(*begun)).count(True))

    assert found == [fits for _, fits in SEATS]


async def begin(book: Any, number: int, who: str, seats: Seats, role: str = "fixer") -> bool:
    """Whether a task gets its session."""
    name = f"t{number}"
    pin = book.pin(uid=name, name=name, role=role, pod_uid=f"p{number}", requested_by=who, seats=seats)
    try:
        await book.session(pin, Door(f"key-{number}", Evidence(f"container-{number}", 0), "10.0.0.7"))
    except Refusal as refusal:
        return refusal.code is not Code.RATE_LIMITED
    return True


async def test_a_seat_is_free_when_its_task_has_ended(book: Any) -> None:
    """Not when it is frozen: its pod is still there. A task that has its seat keeps it, also anew."""
    seats = Seats(1)
    found = [await begin(book, 1, "alice", seats), await begin(book, 2, "bob", seats)]
    await book.ledger.freeze("t1", "because", Cause.BURSTS)
    found.append(await begin(book, 2, "bob", seats))
    book.restart()
    found.append(await begin(book, 2, "bob", seats))
    await book.ledger.end("t1", "done")
    found += [await begin(book, 2, "bob", seats), await begin(book, 2, "bob", seats)]

    assert found == [True, False, False, False, True, True]


async def test_a_no_of_a_counter_is_written_down(book: Any) -> None:
    """The denial has the words of the policy and takes nothing from any counter."""
    session = await book.session()
    wishes = (ROWS["per task"], replace(TOKENS, limit=99))
    denied = await book.ledger.permit(book.ask(session), book.permit(*wishes), book.terms)

    assert isinstance(denied, Denied)
    assert await used(book, *wishes) == [0, 0]
    assert book.events()[-1] == "action.denied"
