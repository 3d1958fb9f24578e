"""One pod per task ever, one door at a time, and theft freezes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from doorward.errors import Code, Refusal
from doorward.ledger import Door, Epoch, Evidence, NotNewer, Opened, Pin


def pin(**changes: Any) -> Pin:
    found = Pin(
        "task-uid", "agents", "fix-1", "bug-fixer", "{}", "pod-uid", "fix-1-abcd", 999.0, "alice", "image"
    )
    return replace(found, **changes)


def door(key: str, container: str = "container-1", restarts: int = 0) -> Door:
    return Door(key, Evidence(container, restarts), "10.0.0.7")


async def test_opening_again_with_the_same_key_gives_the_same_session(book: Any) -> None:
    """A lost answer costs nothing."""
    first = await book.ledger.open_session(pin(), door("a"), last_try=False)
    again = await book.ledger.open_session(pin(), door("a"), last_try=True)

    assert (first.session, True, False) == (again.session, first.new, again.new)
    assert book.events("session.opened") == ["session.opened"]


async def test_the_role_is_pinned_at_the_first_session(book: Any) -> None:
    """What the role said then is what widening is measured against, whatever comes later (I13)."""
    await book.ledger.open_session(pin(role_snapshot='{"first":1}'), door("a"), last_try=False)
    await book.ledger.open_session(pin(role_snapshot='{"second":2}'), door("a"), last_try=False)

    assert [task.role_snapshot for task in book.ledger.reader.tasks()] == ['{"first":1}']


@pytest.mark.parametrize(
    "evidence",
    [Evidence("container-1", 0), Evidence("container-1", 1), Evidence("container-2", 0), Evidence("", 1)],
)
async def test_a_second_key_without_a_newer_door_is_theft(book: Any, evidence: Evidence) -> None:
    """First the status may lag behind; on the last try the task freezes, for its owner too (I8)."""
    await book.ledger.open_session(pin(), door("a"), last_try=False)
    waiting = await book.ledger.open_session(pin(), Door("b", evidence, "10.0.0.7"), last_try=False)

    assert waiting == NotNewer(Evidence("container-1", 0))

    with pytest.raises(Refusal) as caught:
        await book.ledger.open_session(pin(), Door("b", evidence, "10.0.0.7"), last_try=True)
    with pytest.raises(Refusal) as owner:
        await book.ledger.open_session(pin(), door("a"), last_try=False)

    assert (caught.value.code, owner.value.code) == (Code.TASK_FROZEN, Code.TASK_FROZEN)
    assert book.events()[-2:] == ["task.frozen", "session.refused"]


async def test_a_newer_door_takes_over_and_the_old_key_is_worth_nothing(book: Any) -> None:
    """A sidecar that restarted gets a new session; what the old one was given cannot be spent."""
    old = await book.session()
    granted = await book.ledger.permit(book.ask(old), book.permit(), book.terms)
    opened = await book.ledger.open_session(
        replace(pin(), role_snapshot="{}"), door("b", "container-2", 1), last_try=False
    )
    with pytest.raises(Refusal) as caught:
        await book.ledger.redeem(book.claim(granted.capability), "epoch-1")

    assert isinstance(opened, Opened)
    assert (opened.replaced, caught.value.code) == (old, Code.SESSION_INVALID)


async def test_a_key_that_was_replaced_does_not_come_back(book: Any) -> None:
    """The old door's key is no newer door."""
    await book.ledger.open_session(pin(), door("a"), last_try=False)
    await book.ledger.open_session(pin(), door("b", "container-2", 1), last_try=False)
    with pytest.raises(Refusal) as caught:
        await book.ledger.open_session(pin(), door("a"), last_try=True)

    assert caught.value.code == Code.TASK_FROZEN


async def test_a_session_that_was_closed_does_not_open_again(book: Any) -> None:
    """Its key is no newer door either."""
    session = await book.session(pin(), door("a"))
    await book.ledger.close_session(session, "because")

    assert isinstance(await book.ledger.open_session(pin(), door("a"), last_try=False), NotNewer)


async def test_a_second_pod_for_the_same_task_freezes_it(book: Any) -> None:
    """One pod UID per task UID, ever (I8)."""
    await book.session()
    with pytest.raises(Refusal) as caught:
        await book.ledger.open_session(pin(pod_uid="other"), door("b", "container-2", 1), last_try=False)

    assert caught.value.code == Code.TASK_FROZEN


async def test_an_ended_task_opens_nothing(book: Any) -> None:
    """Its sessions close with it."""
    session = await book.session()
    await book.ledger.end("task-uid", "deleted")
    denied = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    with pytest.raises(Refusal) as caught:
        await book.ledger.open_session(pin(), door("a"), last_try=False)

    assert (caught.value.code, denied.denial.code) == (Code.TASK_ENDED, Code.TASK_ENDED)
    assert book.ledger.reader.open_sessions() == []


async def test_a_new_epoch_freezes_what_lived_before(book: Any) -> None:
    """Tasks that the ledger knows freeze at once, pods older than it when they come (I10)."""
    await book.session()
    await book.ledger.begin_epoch(Epoch(1, "epoch-2", "statement", 1000.0, 1000.0), cause="set back")
    with pytest.raises(Refusal) as known:
        await book.session()
    with pytest.raises(Refusal) as old:
        await book.session(pin(uid="other", pod_uid="other"))
    fresh = await book.session(pin(uid="fresh", pod_uid="fresh", pod_created_at=1000.0))

    assert (known.value.code, old.value.code) == (Code.TASK_FROZEN, Code.TASK_FROZEN)
    assert fresh
