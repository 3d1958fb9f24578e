"""Permits, redemptions, outcomes, crashes and restarts in any order: no lost event, no lost money."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from books import Book
from databases import ENGINES, Databases
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorward.broker.epochs import establish
from doorward.broker.keyring import KeyRing
from doorward.core.decision import Reservation
from doorward.errors import Code, Refusal
from doorward.ledger import Claim, Denied, Granted, Head, Redeemed, counters
from doorward.tokens.keys import SigningKeys

T = TypeVar("T")
LIMIT = 6


class Life(RuleBasedStateMachine):
    """The model counts what it was promised; the ledger must agree at every step."""

    book_type: Any
    lend: Any
    keys: SigningKeys

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = ExitStack()
        self.book = self.book_type(self.stack.enter_context(self.lend()))
        url = self.book.url
        self.other = self.book_type(url) if url.startswith("postgresql") else None
        """A second broker, where the ledger can have one."""
        self.epoch = self.established(self.book, None)
        self.established(self.other, None)
        self.revoked: set[str] = set()
        self.tasks = 0
        self.session = self.run(self.book.session())
        self.requests = 0
        self.used = 0
        self.open: list[str] = []
        self.dead: list[str] = []
        """Unspent capabilities of epochs that are over."""
        self.spent: dict[str, tuple[str, Redeemed]] = {}
        self.settled: dict[str, str] = {}
        self.seen = 3

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for one coroutine."""
        return self.loop.run_until_complete(coroutine)

    def established(self, book: Any, anchor: tuple[str, Head] | None) -> str:
        """The epoch that a broker finds or begins when it starts, as brokers do."""
        if book is None:
            return ""
        found = self.run(establish(book.ledger, self.keys, "iss", anchor, book.now))
        book.terms = replace(book.terms, epoch=found.id)
        book.ledger.serve(found.id)
        return found.id

    def start_task(self) -> None:
        """Another task, in a pod that was made later than anything before."""
        self.tasks += 1
        made_at = 2000.0 + self.tasks
        pin = self.book.pin(uid=f"task-{self.tasks}", pod_uid=f"pod-{self.tasks}", pod_created_at=made_at)
        self.session = self.run(self.book.session(pin))
        self.seen += 2

    def redeemed(self, claim: Claim) -> Redeemed | Code:
        """What a connector is answered."""
        try:
            return self.run(self.book.ledger.redeem(claim, self.epoch))
        except Refusal as refusal:
            return refusal.code

    def teardown(self) -> None:
        """Leave nothing behind."""
        for book in (self.book, self.other):
            if book is not None:
                book.ledger.close()
        self.loop.close()
        self.stack.close()

    @rule()
    def permit(self) -> None:
        """Ask for one more action, twice."""
        self.requests += 1
        ask = self.book.ask(self.session, f"r{self.requests}")
        wish = self.book.permit(Reservation("a", LIMIT))
        answer = self.run(self.book.ledger.permit(ask, wish, self.book.terms))
        again = self.run(self.book.ledger.permit(ask, wish, self.book.terms))
        assert answer == again
        assert isinstance(answer, Granted) is (self.used < LIMIT)
        self.seen += 1
        if isinstance(answer, Granted):
            self.used += 1
            self.open.append(answer.capability)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), nonce=st.sampled_from(["a", "b"]))
    def redeem(self, data: st.DataObject, nonce: str) -> None:
        """Spend something, perhaps again, perhaps as somebody else."""
        jti = data.draw(st.sampled_from(self.open))
        answer = self.redeemed(self.book.claim(jti, nonce=nonce, epoch=self.epoch))
        if jti in self.revoked or self.spent.get(jti, (nonce,))[0] != nonce:
            assert answer == (Code.REVOKED if jti in self.revoked else Code.REPLAYED)
            self.seen += 1
            return
        self.seen += jti not in self.spent
        assert isinstance(answer, Redeemed)
        assert self.spent.setdefault(jti, (nonce, answer))[1].redemption == answer.redemption

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), old=st.booleans())
    def redeem_of_another_epoch(self, data: st.DataObject, *, old: bool) -> None:
        """Nothing that was given out before a loss is ever spent, whatever it is said to be of."""
        jti, epoch = data.draw(st.sampled_from(self.dead)), "epoch-0" if old else self.epoch
        assert self.redeemed(self.book.claim(jti, epoch=epoch)) == Code.CAPABILITY_INVALID
        self.seen += 1

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), outcome=st.sampled_from(["succeeded", "failed"]))
    def report(self, data: st.DataObject, outcome: str) -> None:
        """Tell an outcome, perhaps again, perhaps another one."""
        jti = data.draw(st.sampled_from(sorted(self.spent)))
        told = self.book.report(self.spent[jti][1].redemption, outcome=outcome, sent=outcome == "succeeded")
        before = self.settled.get(jti)
        if before not in {None, "lost", outcome}:
            with pytest.raises(Refusal):
                self.run(self.book.ledger.report(told))
            return
        self.run(self.book.ledger.report(told))
        if before != outcome:
            self.seen += 1
            self.used -= outcome == "failed" and before is None
        self.settled[jti] = outcome

    @rule()
    def sweep(self) -> None:
        """Time passes, and what was not told is unknown."""
        self.book.now += 100
        lost = [jti for jti in self.spent if jti not in self.settled]
        assert len(self.run(self.book.ledger.sweep())) == len(lost)
        self.settled |= dict.fromkeys(lost, "lost")
        self.seen += len(lost)
        self.book.now -= 100

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        """Take one capability back, spent or not."""
        jti = data.draw(st.sampled_from(self.open))
        subject = f"capability:agents/{jti}"
        new = self.run(self.book.ledger.latch(f"revocation-of-{jti}", [subject], reason="r"))
        assert new is (jti not in self.revoked)
        self.revoked.add(jti)
        self.seen += new

    @rule(now=st.sampled_from([985.0, 1000.0, 1015.0]))
    def skew(self, now: float) -> None:
        """Somebody sets the clock, or another broker's goes differently."""
        self.book.now = now

    @precondition(lambda self: self.other is not None)
    @rule()
    def switch(self) -> None:
        """The next requests reach the other broker."""
        self.book, self.other = self.other, self.book

    @rule()
    def restart(self) -> None:
        """The process ends well and comes back, and the epoch goes on."""
        head = self.run(self.book.ledger.head())
        self.book.restart()
        assert self.established(self.book, (self.epoch, head)) == self.epoch

    @rule()
    def lose(self) -> None:
        """The end of the chain is missing: no yes while that is so, and after a start nothing goes on."""
        book, anchor = self.book, (self.epoch, self.run(self.book.ledger.head()))
        book.remove_last_event()
        last = self.run(
            _answer(book.ledger.permit(book.ask(self.session, "r-lost"), book.permit(), book.terms))
        )
        book.restart()
        self.epoch = self.established(book, anchor)
        assert (last, self.epoch != anchor[0]) == (Code.UNAVAILABLE, True)
        if self.other is not None:
            late = self.other.permit(Reservation("a", LIMIT)), self.other.terms
            ask = self.other.ask(self.session, "r-late")
            assert self.run(_answer(self.other.ledger.permit(ask, *late))) == Code.UNAVAILABLE
            self.other.restart()
            self.established(self.other, None)
        self.dead += [jti for jti in self.open if jti not in self.spent]
        self.open = []
        self.seen += 1
        denied = self.run(
            book.ledger.permit(book.ask(self.session, f"r-of-{self.epoch}"), book.permit(), book.terms)
        )
        assert isinstance(denied, Denied)
        assert denied.denial.code is Code.TASK_FROZEN
        self.seen += 1
        self.start_task()

    @rule()
    def crash(self) -> None:
        """The connection dies in the middle of a batch: nothing of it may be seen afterwards."""

        def dies(txn: Any) -> None:
            counters.reserve(txn, Reservation("a", 10**9))
            txn._channel.tell("ROLLBACK")

        with pytest.raises(Refusal) as caught:
            self.run(_await(self.book.ledger, dies))
        assert caught.value.code == Code.UNAVAILABLE

    @invariant()
    def the_ledger_agrees(self) -> None:
        """Money, number of events and chain are as the model says."""
        ledger = self.book.ledger
        assert self.run(ledger.used([("a", None)])) == [self.used]
        assert self.run(ledger.head()).seq == self.seen
        assert ledger.reader.first_break() is None


async def _answer(waiting: Any) -> Any:
    """The answer, or the code of the refusal."""
    try:
        return await waiting
    except Refusal as refusal:
        return refusal.code


async def _await(ledger: Any, operation: Any) -> Any:
    return await ledger._run(operation)


@contextmanager
def file() -> Iterator[str]:
    """An empty ledger in a file."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'ledger.db'}"


@pytest.mark.parametrize("kind", ENGINES)
def test_any_life_of_the_ledger(kind: str, databases: Databases, tmp_path: Path) -> None:
    """Runs the machine above, on PostgreSQL with two brokers (I2, I4, I5, I6, I7, I10)."""
    Life.keys = KeyRing(tmp_path, 30, lambda: 1e9).checkpoint
    Life.book_type = Book
    Life.lend = staticmethod(databases.lend if kind == "postgresql" else file)
    machine = Life.TestCase
    examples = 5 if kind == "postgresql" else 12
    machine.settings = settings(max_examples=examples, stateful_step_count=20, deadline=None)
    machine().runTest()
