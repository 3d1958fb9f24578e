"""What people were asked and what they answered: every way from a question to a use, and every way back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any, Literal

import pytest

from doorward.core.decision import Denial, Reservation
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import Counted, Denied, Granted, GrantRow, Question, Redeemed

BROKER = "system:serviceaccount:doorward-system:doorward-broker"
QUESTION = Question(
    namespace="agents",
    name="fix-1-0a1b2c3d",
    task_uid="task-uid",
    task="fix-1",
    role="bug-fixer",
    rule="comment",
    connector="code",
    action="issue.comment",
    digest="sha256:d",
    policy_hash="sha256:policy",
    quorum=2,
    max_uses=1,
    ttl=600,
    expires=1800,
    author=BROKER,
    requested_by="alice",
)


def yes(user: str, decision: Literal["Approve", "Deny"] = "Approve", **changes: Any) -> Counted:
    """An answer that counts."""
    return replace(Counted(user, decision, ("team",), f"approval-of-{user}", 0.0), **changes)


async def asked(book: Any, **changes: Any) -> tuple[str, GrantRow]:
    """A session, and a Grant whose object has been made."""
    session, wanted = await book.session(), replace(QUESTION, **changes)
    found = await book.ledger.question(session, wanted)
    assert isinstance(found, GrantRow)
    return session, await book.ledger.take_in("grant-uid", wanted, book.now, own=True)


async def agreed(book: Any, **changes: Any) -> str:
    """A session, and a Grant that two people agreed to."""
    session, _ = await asked(book, **changes)
    for user in ("bob", "carol"):
        await book.ledger.answer("grant-uid", yes(user))
    return session


async def use(book: Any, session: str, request: str = "request-1", uses: int = 1) -> Granted | Denied:
    """A decision that rests on the Grant."""
    found = replace(
        book.permit(Reservation("grant:grant-uid", uses)),
        grant="grant-uid",
        approvers=("bob", "carol"),
        seal=book.seal,
    )
    answer: Granted | Denied = await book.ledger.permit(book.ask(session, request), found, book.terms)
    return answer


def state(book: Any) -> str:
    """Where the Grant stands."""
    found = book.ledger.reader.grant("agents", "fix-1-0a1b2c3d")
    assert found is not None
    return found.state


async def test_from_a_question_to_its_last_use(book: Any) -> None:
    """Two people agree, one use is taken, and the events tell it in order with everybody's name."""
    session = await agreed(book)
    first, second = await use(book, session), await use(book, session, "request-2")
    permitted = next(
        json.loads(link.body) for link in book.ledger.reader.walk() if link.event == "action.permitted"
    )

    assert isinstance(first, Granted)
    assert isinstance(second, Denied)
    assert (second.denial.code, state(book)) == (Code.LIMIT_EXCEEDED, "exhausted")
    assert (permitted["grant"], permitted["approvers"]) == ("grant-uid", ["bob", "carol"])
    assert [name for name in book.events() if name.startswith(("grant", "approval"))] == [
        "grant.requested",
        "approval.recorded",
        "approval.recorded",
        "grant.activated",
        "grant.exhausted",
    ]


async def test_the_same_question_is_asked_once(book: Any) -> None:
    """Asking again before or after the object is there gives the same Grant and no second event."""
    session = await book.session()
    before = await book.ledger.question(session, QUESTION)
    await book.ledger.take_in("grant-uid", QUESTION, book.now, own=True)
    await book.ledger.take_in("grant-uid", QUESTION, book.now, own=True)
    after = await book.ledger.question(session, QUESTION)

    assert isinstance(before, GrantRow)
    assert isinstance(after, GrantRow)
    assert (before.uid, after.uid) == (None, "grant-uid")
    assert book.events("grant.requested") == ["grant.requested"]


async def test_five_questions_wait_at_most(book: Any) -> None:
    """The sixth is refused until one of them is settled, whether the objects were made or not."""
    session = await book.session()
    names = [f"fix-1-{index:08x}" for index in range(6)]
    found = await asyncio.gather(
        *(book.ledger.question(session, replace(QUESTION, name=name, digest=name)) for name in names)
    )
    await book.ledger.take_in("uid-0", replace(QUESTION, name=names[0], digest=names[0]), book.now, own=True)
    await book.ledger.answer("uid-0", yes("bob", "Deny"))
    again = await book.ledger.question(session, replace(QUESTION, name=names[5], digest=names[5]))

    assert [item.code for item in found if isinstance(item, Denial)] == [Code.LIMIT_EXCEEDED]
    assert isinstance(again, GrantRow)


async def test_a_frozen_task_asks_nobody(book: Any) -> None:
    """Whoever gets nothing whatever people say does not ask them."""
    session = await book.session()
    await book.ledger.freeze("task-uid", "theft", Cause.SESSION_THEFT)
    found = await book.ledger.question(session, QUESTION)

    assert isinstance(found, Denial)
    assert found.code == Code.TASK_FROZEN


async def test_a_grant_in_the_brokers_name_that_it_did_not_ask_for_is_stale(book: Any) -> None:
    """Also one with another digest than the question of that name."""
    await book.session()
    forged = await book.ledger.take_in("forged", QUESTION, book.now, own=True)
    other = replace(QUESTION, name="fix-1-ffffffff")
    await book.ledger.question(await book.session(), other)
    changed = await book.ledger.take_in("changed", replace(other, digest="sha256:e"), book.now, own=True)

    assert (forged.state, changed.state) == ("stale", "stale")


async def test_a_person_may_ask_beforehand(book: Any) -> None:
    """A Grant by a person waits for its quorum like any other; it lowers no quorum that was asked for."""
    await book.ledger.question(await book.session(), QUESTION)
    own = replace(QUESTION, author="dave", quorum=1)
    found = await book.ledger.take_in("by-dave", own, book.now, own=False)

    assert (found.state, found.author, found.quorum) == ("pending", "dave", 2)


async def test_one_person_counts_once(book: Any) -> None:
    """However many Approvals they make."""
    await asked(book)
    await book.ledger.answer("grant-uid", yes("bob"))
    found = await book.ledger.answer("grant-uid", yes("bob", approval_uid="second"))

    assert found is not None
    assert (found.state, found.approvers) == ("pending", ("bob",))
    assert book.events("approval.recorded") == ["approval.recorded"]


async def test_an_answer_that_does_not_count_is_written_down_once(book: Any) -> None:
    """It neither counts nor takes the place of one that does."""
    await asked(book)
    no = {"refused": "reserved", "refusal": "may use the role"}
    for _ in range(2):
        await book.ledger.answer("grant-uid", yes("bob", **no))
    await book.ledger.answer("grant-uid", yes("carol"))
    found = await book.ledger.answer("grant-uid", yes("carol", approval_uid="second", **no))

    assert found is not None
    assert (found.state, found.approvers) == ("pending", ("carol",))
    assert book.events("approval.refused") == ["approval.refused"]


async def test_who_was_refused_may_answer_anew(book: Any) -> None:
    """With another Approval, once the reason is gone."""
    await asked(book)
    await book.ledger.answer("grant-uid", yes("bob", refused="reserved", refusal="no verb"))
    found = await book.ledger.answer("grant-uid", yes("bob", approval_uid="second"))

    assert found is not None
    assert found.approvers == ("bob",)


@pytest.mark.parametrize("before", [(), ("bob",), ("bob", "carol")])
async def test_one_no_denies(book: Any, before: tuple[str, ...]) -> None:
    """Before, between and after the others, and also of somebody who said yes first."""
    session, _ = await asked(book)
    for user in before:
        await book.ledger.answer("grant-uid", yes(user))
    await book.ledger.answer("grant-uid", yes("bob", "Deny", approval_uid="no"))
    for user in ("carol", "dave"):
        await book.ledger.answer("grant-uid", yes(user, approval_uid=f"late-{user}"))
    found = await use(book, session)

    assert isinstance(found, Denied)
    assert (found.denial.code, state(book)) == (Code.APPROVAL_DENIED, "denied")


async def test_silence_is_denial(book: Any) -> None:
    """After the time to answer, answers change nothing, and the sweep says so."""
    await asked(book)
    book.now += 1800
    await book.ledger.answer("grant-uid", yes("bob"))
    changed = await book.ledger.sweep_grants()

    assert [(item.state, item.reason, item.approvers) for item in changed] == [
        ("expired", "nobody answered in time", ())
    ]
    assert await book.ledger.sweep_grants() == []


async def test_what_was_agreed_to_is_used_in_time(book: Any) -> None:
    """The time to use it runs from the last yes, and is over before any sweep."""
    session = await agreed(book)
    book.now += 600
    found = await use(book, session)

    assert isinstance(found, Denied)
    assert found.denial.code == Code.GRANT_EXPIRED


async def test_another_policy_is_stale(book: Any) -> None:
    """A decision under another policy than people were asked under is refused in its transaction."""
    session = await agreed(book, policy_hash="sha256:older")
    found = await use(book, session)

    assert isinstance(found, Denied)
    assert found.denial.code == Code.GRANT_STALE


async def test_drift_is_final(book: Any) -> None:
    """Nobody agrees any more to what has changed."""
    await asked(book)
    await book.ledger.drifted("grant-uid")
    found = await book.ledger.answer("grant-uid", yes("bob"))

    assert found is not None
    assert (found.state, found.approvers) == ("stale", ())


async def test_a_deleted_grant_is_taken_back_and_may_be_asked_for_anew(book: Any) -> None:
    """Its approvals are no approvals of the next one with the same name."""
    session = await agreed(book)
    await book.ledger.gone("grant-uid")
    refused = await use(book, session)
    await book.ledger.question(session, QUESTION)
    anew = await book.ledger.take_in("second-uid", QUESTION, book.now, own=True)

    assert isinstance(refused, Denied)
    assert refused.denial.code == Code.REVOKED
    assert (anew.state, anew.approvers, anew.uses) == ("pending", (), 0)


@pytest.mark.parametrize(
    "subject", ["grant:agents/fix-1-0a1b2c3d", "task:agents/fix-1", "role:agents/bug-fixer", "everything"]
)
async def test_a_revocation_takes_a_grant_back(book: Any, subject: str) -> None:
    """At the next sweep for everybody to see, and at once for whoever wants to use it."""
    session = await agreed(book)
    await book.ledger.latch("revocation", [subject])
    refused, changed = await use(book, session), await book.ledger.sweep_grants()

    assert isinstance(refused, Denied)
    assert (refused.denial.code, [item.state for item in changed]) == (Code.REVOKED, ["revoked"])


async def test_the_end_of_its_task_ends_a_question(book: Any) -> None:
    """People are not asked about what cannot happen any more."""
    await asked(book)
    await book.ledger.end("task-uid", "done")
    changed = await book.ledger.sweep_grants()

    assert [(item.state, item.reason) for item in changed] == [("expired", "the task has ended")]


async def spend(book: Any, granted: Granted | Denied) -> Code | None:
    """Redeem what was granted; the code of a no."""
    assert isinstance(granted, Granted)
    try:
        await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    except Refusal as refusal:
        return refusal.code
    return None


async def test_a_use_is_redeemed_though_it_was_the_last(book: Any) -> None:
    """An exhausted Grant still carries the capability that exhausted it."""
    session = await agreed(book)

    assert await spend(book, await use(book, session)) is None


@pytest.mark.parametrize("uses", [1, 2])
@pytest.mark.parametrize(
    ("after", "code"),
    [
        ("revoked", Code.REVOKED),
        ("deleted", Code.REVOKED),
        ("denied", Code.APPROVAL_DENIED),
        ("stale", Code.GRANT_STALE),
        ("expired", Code.GRANT_EXPIRED),
    ],
)
async def test_what_happens_to_a_grant_kills_its_capabilities(
    book: Any, after: str, code: Code, uses: int
) -> None:
    """The redemption reads the Grant again in its own transaction, also where this was its last use."""
    session = await agreed(book, max_uses=uses, ttl=30)
    granted = await use(book, session, uses=uses)
    match after:
        case "revoked":
            await book.ledger.latch("revocation", ["grant:agents/fix-1-0a1b2c3d"])
        case "deleted":
            await book.ledger.gone("grant-uid")
        case "denied":
            await book.ledger.answer("grant-uid", yes("dave", "Deny"))
        case "stale":
            await book.ledger.drifted("grant-uid")
        case "expired":
            book.now += 30

    assert await spend(book, granted) == code


async def test_a_use_whose_action_was_never_sent_comes_back(book: Any) -> None:
    """What people agreed to did not happen; it may be tried again in the same time."""
    session = await agreed(book)
    granted = await use(book, session)
    assert isinstance(granted, Granted)
    spent = await book.ledger.redeem(book.claim(granted.capability), "epoch-1")
    assert isinstance(spent, Redeemed)
    await book.ledger.report(book.report(spent.redemption, outcome="failed", sent=False))

    assert state(book) == "active"
    assert isinstance(await use(book, session, "request-2"), Granted)


async def test_everything_survives_a_restart(book: Any) -> None:
    """Questions and answers are in the ledger and nowhere else."""
    session = await agreed(book)
    book.restart()

    assert state(book) == "active"
    assert [item.user for item in book.ledger.reader.grants("task-uid", "sha256:d")[0].answers] == [
        "bob",
        "carol",
    ]
    assert isinstance(await use(book, session), Granted)


async def test_what_was_asked_for_and_never_made_is_forgotten(book: Any) -> None:
    """A broker that ended in between leaves no question that waits for ever."""
    session = await book.session()
    await book.ledger.question(session, QUESTION)
    book.now += 1800
    await book.ledger.sweep_grants()

    assert book.ledger.reader.grant("agents", "fix-1-0a1b2c3d") is None
