"""Grades that survive a restart, and Thaws that count once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from doorward.core.decision import Denial
from doorward.core.grade import Cause, Grade
from doorward.errors import Code, Refusal
from doorward.ledger import Denied, Door, Evidence, Granted, Opened, ThawRequest
from doorward.telemetry.events import Event

ASKED = ThawRequest("thaw-uid", "agents", "thaw-1", "fix-1", "bob", "looked at it", 1010.0, ("alice",))
NO = Denial(Code.NO_RULE, "no")
OTHER = Door("key-2", Evidence("container-1", 0), "10.0.0.7")
NEWER = Door("key-3", Evidence("container-2", 1), "10.0.0.7")


def bodies(book: Any, event: Event) -> list[dict[str, Any]]:
    """What events of this name say."""
    return [json.loads(link.body) for link in book.ledger.reader.walk() if link.event == event]


async def test_a_grade_is_kept_and_told(book: Any) -> None:
    """A restart of the broker makes nobody calm."""
    await book.session()
    done = await book.ledger.grade("task-uid", Grade.CAUTIOUS, Cause.REPLAYS, "3 came again", 1600.0)
    other = await book.ledger.grade("nobody", Grade.SLOW, Cause.BURSTS, "x", 1600.0)
    book.restart()
    (row,) = book.ledger.reader.tasks()
    (told,) = bodies(book, Event.TASK_GRADED)

    assert (done, other) == (True, False)
    assert (row.grade, row.cause, row.story, row.graded_until) == (2, "replays", "3 came again", 1600.0)
    assert (told["grade"], told["cause"], told["story"]) == ("Cautious", "replays", "3 came again")


async def test_counted_denials_are_one_event_and_freeze_in_the_end(book: Any) -> None:
    """Ten thousand of them take one line; the limit counts each."""
    await book.session()
    book.terms = replace(book.terms, max_denials=100)
    first = await book.ledger.add_denials("task-uid", {"no_rule": 60, "malformed": 30}, 1.0, 2.0, 100)
    second = await book.ledger.add_denials("task-uid", {"no_rule": 11}, 2.0, 3.0, 100)
    told = bodies(book, Event.ACTION_DENIED)

    assert (first, second) == (False, True)
    assert [(item["count"], item["codes"]) for item in told] == [
        (90, {"no_rule": 60, "malformed": 30}),
        (11, {"no_rule": 11}),
    ]
    assert book.ledger.reader.cause("task-uid") is Cause.DENIALS


async def test_a_quiet_no_leaves_nothing(book: Any) -> None:
    """The ledger may still turn a yes into a no; who counts it is the caller."""
    session = await book.session()
    before = book.events()
    answer = await book.ledger.deny(book.ask(session), NO, replace(book.terms, quiet=True))
    with pytest.raises(Refusal):
        await book.ledger.redeem(book.claim("nothing"), book.terms.epoch, quiet=True)

    assert (answer, book.events()) == (Denied("", NO, ""), before)


async def frozen(book: Any, cause: Cause = Cause.BURSTS) -> str:
    """A task that was frozen; its session."""
    session = await book.session()
    assert await book.ledger.freeze("task-uid", "because", cause)
    book.now = 1020.0
    return str(session)


async def test_a_thawed_task_goes_on_with_its_session(book: Any) -> None:
    """Who thawed it and why is in the ledger; what it was frozen for does not freeze it again."""
    session = await frozen(book)
    thawed = await book.ledger.thaw(ASKED)
    answer = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    (told,) = bodies(book, Event.TASK_THAWED)

    assert (thawed.outcome, thawed.task_uid, thawed.sessions_closed) == ("thawed", "task-uid", False)
    assert isinstance(answer, Granted)
    assert (told["by"], told["reason"], told["was"], told["cause"]) == (
        "bob",
        "looked at it",
        "because",
        "bursts",
    )


async def test_a_thaw_gives_the_count_of_denials_back(book: Any) -> None:
    """Otherwise the next no would freeze it again."""
    session = await book.session()
    await book.ledger.add_denials("task-uid", {"no_rule": 101}, 1.0, 2.0, 100)
    book.now = 1020.0
    await book.ledger.thaw(ASKED)
    denied = await book.ledger.deny(book.ask(session), NO, replace(book.terms, max_denials=100))

    assert not denied.froze


async def test_after_a_theft_only_a_new_door_opens_a_session(book: Any) -> None:
    """The old session stays closed, whoever had it."""
    session = await book.session()
    with pytest.raises(Refusal):
        await book.ledger.open_session(_pin(), OTHER, last_try=True)
    book.now = 1020.0
    thawed = await book.ledger.thaw(ASKED)
    answer = await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    again = await book.ledger.open_session(_pin(), NEWER, last_try=True)

    assert thawed.sessions_closed
    assert isinstance(answer, Denied)
    assert answer.denial.code is Code.SESSION_INVALID
    assert isinstance(again, Opened)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"task": "other"}, "nothing_frozen"),
        ({"namespace": "elsewhere"}, "nothing_frozen"),
        ({"created_at": 1000.0}, "frozen_later"),
        ({"created_at": 999.0}, "frozen_later"),
        ({"user": "alice"}, "own_task"),
    ],
)
async def test_what_does_not_thaw(book: Any, change: dict[str, Any], outcome: str) -> None:
    """Another task, a freeze that came after the Thaw, or the person who asked for the task."""
    await frozen(book)
    thawed = await book.ledger.thaw(replace(ASKED, **change))

    assert (thawed.outcome, thawed.task_uid) == (outcome, None)
    assert book.ledger.reader.tasks()[0].state == "frozen"
    assert bodies(book, Event.TASK_THAWED) == []


async def test_an_old_manifest_thaws_nothing_new(book: Any) -> None:
    """Told again, or deleted and applied anew under its name: each Thaw counts once."""
    await frozen(book)
    first = await book.ledger.thaw(ASKED)
    same = await book.ledger.thaw(ASKED)
    await book.ledger.freeze("task-uid", "again", Cause.BURSTS)
    told_again = await book.ledger.thaw(ASKED)
    applied_again = await book.ledger.thaw(replace(ASKED, uid="thaw-uid-2", created_at=1100.0))

    assert [(one.outcome, one.new) for one in (first, same, told_again, applied_again)] == [
        ("thawed", True),
        ("thawed", False),
        ("thawed", False),
        ("used_before", False),
    ]
    assert book.ledger.reader.tasks()[0].state == "frozen"


def _pin() -> Any:
    from doorward.ledger import Pin  # noqa: PLC0415 - only here

    return Pin(
        uid="task-uid",
        namespace="agents",
        name="fix-1",
        role="bug-fixer",
        role_snapshot='{"spec":{}}',
        pod_uid="pod-uid",
        pod_name="fix-1-abcd",
        pod_created_at=999.0,
        requested_by="alice",
        image="registry.example/agents/fixer@sha256:0",
    )
