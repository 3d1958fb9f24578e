"""Permits, redemptions, outcomes, crashes and restarts in any order: no lost event, no lost money."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from books import Book
from databases import ENGINES, Databases
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from doorward.core.decision import Reservation
from doorward.errors import Code, Refusal
from doorward.ledger import Granted, Redeemed

T = TypeVar("T")
LIMIT = 6


class Life(RuleBasedStateMachine):
    """The model counts what it was promised; the ledger must agree at every step."""

    book_type: Any
    lend: Any

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = ExitStack()
        self.book = self.book_type(self.stack.enter_context(self.lend()))
        url = self.book.url
        self.other = self.book_type(url) if url.startswith("postgresql") else None
        """A second broker, where the ledger can have one."""
        self.revoked: set[str] = set()
        self.session = self.run(self.book.session())
        self.requests = 0
        self.used = 0
        self.open: list[str] = []
        self.spent: dict[str, tuple[str, Redeemed]] = {}
        self.settled: dict[str, str] = {}
        self.seen = 2

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for one coroutine."""
        return self.loop.run_until_complete(coroutine)

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
        claim = self.book.claim(jti, nonce=nonce)
        if jti in self.revoked:
            with pytest.raises(Refusal) as caught:
                self.run(self.book.ledger.redeem(claim, "epoch-1"))
            assert caught.value.code == Code.REVOKED
            self.seen += 1
            return
        known = jti in self.spent
        if known and self.spent[jti][0] != nonce:
            with pytest.raises(Refusal) as caught:
                self.run(self.book.ledger.redeem(claim, "epoch-1"))
            assert caught.value.code == Code.REPLAYED
            self.seen += 1
            return
        answer = self.run(self.book.ledger.redeem(claim, "epoch-1"))
        assert self.spent.setdefault(jti, (nonce, answer))[1].redemption == answer.redemption
        self.seen += not known

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
        """The process ends well and comes back."""
        self.book.restart()

    @rule()
    def crash(self) -> None:
        """The connection dies in the middle of a batch: nothing of it may be seen afterwards."""

        def dies(txn: Any) -> None:
            txn.touch_counter(key="a", window=0, bucket=1, expires_at=None)
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


async def _await(ledger: Any, operation: Any) -> Any:
    return await ledger._run(operation)


@contextmanager
def file() -> Iterator[str]:
    """An empty ledger in a file."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'ledger.db'}"


@pytest.mark.parametrize("kind", ENGINES)
def test_any_life_of_the_ledger(kind: str, databases: Databases) -> None:
    """Runs the machine above, on PostgreSQL with two brokers (I2, I4, I5, I6, I7)."""
    Life.book_type = Book
    Life.lend = staticmethod(databases.lend if kind == "postgresql" else file)
    machine = Life.TestCase
    examples = 8 if kind == "postgresql" else 20
    machine.settings = settings(max_examples=examples, stateful_step_count=20, deadline=None)
    machine().runTest()
