"""Exactly one spends a capability, and what became of it is known or known to be unknown."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from doorward.core.decision import Reservation
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import Redeemed, redemptions
from doorward.ledger.schema import CAPABILITIES


async def granted(book: Any, *reservations: Reservation) -> str:
    answer = await book.ledger.permit(book.ask(await book.session()), book.permit(*reservations), book.terms)
    return str(answer.capability)


async def code_of(waiting: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value.code


async def test_of_64_parallel_redeemers_exactly_one_wins(book: Any) -> None:
    """The others are `replayed`, each with an event of its own (I2)."""
    jti = await granted(book)
    answers = await asyncio.gather(
        *(book.ledger.redeem(book.claim(jti, nonce=str(number)), "epoch-1") for number in range(64)),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Redeemed) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Refusal)} == {Code.REPLAYED}
    assert len(book.events("redemption.refused")) == 63


async def test_the_winner_may_ask_again(book: Any) -> None:
    """Same connector, instance and nonce: the same redemption, with the same time to execute by (I5)."""
    jti = await granted(book)
    first = await book.ledger.redeem(book.claim(jti), "epoch-1")
    book.now += 1
    again = await book.ledger.redeem(book.claim(jti), "epoch-1")

    assert (
        (first.redemption, first.execute_by)
        == (again.redemption, again.execute_by)
        == (
            first.redemption,
            1005.0,
        )
    )
    assert book.events("capability.redeemed") == ["capability.redeemed"]


@pytest.mark.parametrize("apart", [False, True])
async def test_what_was_read_before_does_not_win(book: Any, *, apart: bool) -> None:
    """Two that both saw it unspent, as two replicas could: the update lets nobody spend it twice."""
    jti = await granted(book)
    row = await book.ledger._run(lambda txn: txn.first(redemptions._spendable(jti)))

    def spend(*nonces: str) -> Any:
        return book.ledger._run(
            lambda txn: [redemptions._spend(txn, row, book.claim(jti, nonce=nonce)) for nonce in nonces]
        )

    if apart:
        await spend("a")

    assert await code_of(spend("b") if apart else spend("b", "c")) == Code.UNAVAILABLE
    assert [found["nonce"] for found in book.rows(CAPABILITIES)] == ["a" if apart else None]
    assert len(book.events("capability.redeemed")) == int(apart)


@pytest.mark.parametrize("changed", ["redeemer", "instance", "nonce"])
async def test_anybody_else_is_replayed(book: Any, changed: str) -> None:
    """Another pod of the same connector, a restart of it, another nonce: all of them too late."""
    jti = await granted(book)
    await book.ledger.redeem(book.claim(jti), "epoch-1")

    code = await code_of(book.ledger.redeem(book.claim(jti, **{changed: "other"}), "epoch-1"))

    assert code == Code.REPLAYED


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"audience": "connector:other"}, Code.CAPABILITY_INVALID),
        ({"digest": "sha256:other"}, Code.CAPABILITY_INVALID),
        ({"epoch": "epoch-0"}, Code.CAPABILITY_INVALID),
        ({"jti": "unknown"}, Code.CAPABILITY_INVALID),
    ],
)
async def test_a_claim_must_be_what_was_granted(book: Any, changed: dict[str, str], code: Code) -> None:
    """A valid signature is not enough: the ledger holds what it gave (I3)."""
    jti = await granted(book)

    assert await code_of(book.ledger.redeem(book.claim(**{"jti": jti, **changed}), "epoch-1")) == code


async def test_a_new_epoch_spends_nothing_of_the_old_one(book: Any) -> None:
    """After a loss of the ledger, capabilities from before are worthless even if a row survived."""
    jti = await granted(book)

    assert await code_of(book.ledger.redeem(book.claim(jti), "epoch-2")) == Code.CAPABILITY_INVALID


@pytest.mark.parametrize(
    "subject",
    [
        "everything",
        "namespace:agents",
        "role:agents/bug-fixer",
        "task:agents/fix-1",
        "capability:agents/{jti}",
    ],
)
async def test_a_revocation_stops_what_was_granted_before(book: Any, subject: str) -> None:
    """It is read in the transaction of the redemption (I7)."""
    jti = await granted(book)
    await book.ledger.latch("revocation-1", [subject.format(jti=jti)], reason="r")

    assert await code_of(book.ledger.redeem(book.claim(jti), "epoch-1")) == Code.REVOKED


async def test_a_revocation_of_others_stops_nothing(book: Any) -> None:
    """Subjects are exact."""
    jti = await granted(book)
    subjects = ["namespace:agents2", "role:other/bug-fixer", "task:agents/fix", "capability:other/" + jti]
    await book.ledger.latch("revocation-1", subjects, reason="r")

    assert isinstance(await book.ledger.redeem(book.claim(jti), "epoch-1"), Redeemed)


async def test_frozen_ended_and_expired_spend_nothing(book: Any) -> None:
    """State is re-read, not remembered (I7)."""
    jti = await granted(book)
    book.now += 60
    expired = await code_of(book.ledger.redeem(book.claim(jti), "epoch-1"))
    book.now -= 60
    await book.ledger.freeze("task-uid", "r", Cause.FENCE_BREACH)
    frozen = await code_of(book.ledger.redeem(book.claim(jti), "epoch-1"))
    await book.ledger.end("task-uid", "r")
    ended = await code_of(book.ledger.redeem(book.claim(jti), "epoch-1"))

    assert (expired, frozen, ended) == (Code.CAPABILITY_EXPIRED, Code.TASK_FROZEN, Code.TASK_ENDED)


async def test_an_outcome_is_reported_once_and_by_the_redeemer(book: Any) -> None:
    """The same report again is harmless, another one or another reporter is refused."""
    spent = await book.ledger.redeem(book.claim(await granted(book)), "epoch-1")
    first = await book.ledger.report(book.report(spent.redemption))
    again = await book.ledger.report(book.report(spent.redemption))
    changed = await code_of(book.ledger.report(book.report(spent.redemption, outcome="failed")))
    stranger = await code_of(book.ledger.report(book.report(spent.redemption, redeemer="sa:other")))

    assert (first.event, False) == (again.event, again.new)
    assert (changed, stranger) == (Code.REPLAYED, Code.CAPABILITY_INVALID)


@pytest.mark.parametrize(
    ("outcome", "sent", "kept"), [("failed", False, 0), ("failed", True, 1), ("unknown", True, 1)]
)
async def test_only_what_was_never_sent_is_given_back(book: Any, outcome: str, sent: bool, kept: int) -> None:
    """Budgets settle at the maximum unless no byte left (I11)."""
    spent = await book.ledger.redeem(book.claim(await granted(book, Reservation("a", 5))), "epoch-1")
    for _ in range(2):
        await book.ledger.report(book.report(spent.redemption, outcome=outcome, sent=sent))

    assert await book.ledger.used([("a", None)]) == [kept]


async def test_an_outcome_that_never_comes_is_unknown(book: Any) -> None:
    """Not before its time; a late report is still written down, but gives nothing back."""
    spent = await book.ledger.redeem(book.claim(await granted(book, Reservation("a", 5))), "epoch-1")
    book.now += 65
    early = await book.ledger.sweep()
    book.now += 0.1
    swept = await book.ledger.sweep()
    again = await book.ledger.sweep()
    await book.ledger.report(book.report(spent.redemption, outcome="failed", sent=False))

    assert (early, swept, again) == ([], ["code"], [])
    assert book.events()[-2:] == ["outcome.lost", "outcome.reported"]
    assert await book.ledger.used([("a", None)]) == [1]
