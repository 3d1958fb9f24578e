"""Tasks that tasks start: counted once, and worth nothing without those above them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.decision import Reservation
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import Birth, Crowded, Denied, Granted, Pin, revocations

ROOM = Reservation("task:task-uid/children", 2)
PIN = Pin("task-uid", "agents", "fix-1", "bug-fixer", "{}", "pod-uid", "fix-1-abcd", 999.0, "alice", "image")
CHILD = replace(PIN, uid="child-uid", name="fix-1-child", pod_uid="child-pod", parent_uid="task-uid")
GRANDCHILD = replace(PIN, uid="grand-uid", name="fix-1-grand", pod_uid="grand-pod", parent_uid="child-uid")


def birth(request: str = "request-1", **changes: str) -> Birth:
    return replace(Birth("task-uid", request, f"fix-1-{request}", "bug-fixer", "sha256:d"), **changes)


async def test_children_are_counted(book: Any) -> None:
    """Two fit, the third does not, and the ledger tells of the two."""
    await book.session(PIN)
    found = [await book.ledger.start_child(birth(f"request-{index}"), ROOM) for index in range(3)]
    story = [link.event for link in book.ledger.reader.walk()]

    assert found == [birth("request-0"), birth("request-1"), Crowded(2)]
    assert story.count("task.delegated") == 2


async def test_asking_again_makes_no_second_child(book: Any) -> None:
    """Also across a restart, the same request is the same child, and takes no more room."""
    await book.session(PIN)
    first = await book.ledger.start_child(birth(), ROOM)
    book.restart()

    assert first == await book.ledger.start_child(birth(), ROOM)
    assert await book.ledger.used([(ROOM.key, None)]) == [1]


async def test_a_request_id_is_for_one_child(book: Any) -> None:
    """Another child under a known id is no retry."""
    await book.session(PIN)
    await book.ledger.start_child(birth(), ROOM)

    with pytest.raises(Refusal) as caught:
        await book.ledger.start_child(birth(digest="sha256:e"), ROOM)
    assert caught.value.code is Code.MALFORMED


async def frozen(book: Any) -> None:
    await book.ledger.freeze("task-uid", "because", Cause.DENIALS)


async def ended(book: Any) -> None:
    await book.ledger.end("task-uid", "because")


async def revoked(book: Any) -> None:
    await book.ledger.latch("revocation-1", [revocations.task("agents", "fix-1")])


STOPS: list[tuple[Callable[[Any], Awaitable[None]], Code]] = [
    (frozen, Code.TASK_FROZEN),
    (ended, Code.TASK_ENDED),
    (revoked, Code.REVOKED),
]


@pytest.mark.parametrize(("stop", "code"), STOPS)
async def test_nothing_is_decided_below_a_stopped_task(
    book: Any, stop: Callable[[Any], Awaitable[None]], code: Code
) -> None:
    """Two generations down the no is the same, from inside the transaction."""
    await book.session(PIN)
    await book.session(CHILD)
    session = await book.session(GRANDCHILD)
    before = await book.ledger.permit(book.ask(session, "before"), book.permit(), book.terms)
    await stop(book)
    after = await book.ledger.permit(book.ask(session, "after"), book.permit(), book.terms)

    assert isinstance(before, Granted)
    assert isinstance(after, Denied)
    assert after.denial.code is code


@pytest.mark.parametrize(("stop", "code"), STOPS)
async def test_an_unspent_capability_dies_with_the_task_above(
    book: Any, stop: Callable[[Any], Awaitable[None]], code: Code
) -> None:
    """What a child was permitted before is not redeemed after."""
    await book.session(PIN)
    session = await book.session(CHILD)
    granted = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    assert isinstance(granted, Granted)
    await stop(book)

    with pytest.raises(Refusal) as caught:
        await book.ledger.redeem(book.claim(granted.capability), book.terms.epoch)
    assert caught.value.code is code


async def test_a_parent_that_is_not_known_is_over(book: Any) -> None:
    """A line that the ledger cannot follow to its end permits nothing."""
    session = await book.session(CHILD)
    found = await book.ledger.permit(book.ask(session), book.permit(), book.terms)

    assert isinstance(found, Denied)
    assert found.denial.code is Code.TASK_ENDED


@pytest.mark.parametrize(("stop", "code"), STOPS)
async def test_a_stopped_task_starts_no_children(
    book: Any, stop: Callable[[Any], Awaitable[None]], code: Code
) -> None:
    """Not even where the broker has not heard yet."""
    await book.session(PIN)
    await stop(book)

    with pytest.raises(Refusal) as caught:
        await book.ledger.start_child(birth(), ROOM)
    assert caught.value.code is code
