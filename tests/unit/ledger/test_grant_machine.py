"""Answers, drift, time and uses of one Grant in any order: nothing happens that too few people agreed to."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from books import Book
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from doorward.core.decision import Reservation
from doorward.ledger import Counted, Granted, Question

T = TypeVar("T")
TTL, EXPIRES = 600, 1800


class Asked(RuleBasedStateMachine):
    """The model is the plain definition; the ledger must permit exactly when it does."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp()
        self.book = Book(f"sqlite:///{Path(self.folder) / 'ledger.db'}")
        self.session = self.run(self.book.session())
        self.until = self.book.now + EXPIRES
        self.said: set[str] = set()
        self.dead = False
        self.taken = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for one coroutine."""
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.book.ledger.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    @initialize(quorum=st.integers(1, 3), uses=st.integers(1, 2))
    def begin(self, quorum: int, uses: int) -> None:
        """Ask people."""
        self.quorum, self.uses = quorum, uses
        names = ("agents", "fix-1-0a1b2c3d", "task-uid", "fix-1", "bug-fixer", "comment", "code")
        bounds = (quorum, uses, TTL, EXPIRES)
        wanted = Question(*names, "issue.comment", "sha256:d", "sha256:policy", *bounds, "broker", "alice")
        self.run(self.book.ledger.question(self.session, wanted))
        self.run(self.book.ledger.take_in("grant-uid", wanted, self.book.now, own=True))

    @property
    def live(self) -> bool:
        """Whether it may still come to something."""
        return not self.dead and self.book.now < self.until and self.taken < self.uses

    @rule(user=st.sampled_from("abcd"), no=st.sampled_from([False] * 9 + [True]), counts=st.booleans())
    def answer(self, user: str, no: bool, counts: bool) -> None:
        """One person answers, perhaps once more, perhaps without the right to."""
        decision: Literal["Approve", "Deny"] = "Deny" if no else "Approve"
        found = Counted(user, decision, (), f"{user}-{no}-{counts}", 0.0, None if counts else "reserved")
        if self.live and counts:
            active = len(self.said) >= self.quorum
            self.dead = no
            self.said |= set() if no else {user}
            if not active and len(self.said) >= self.quorum:
                self.until = self.book.now + TTL
        self.run(self.book.ledger.answer("grant-uid", found))

    @rule(seconds=st.sampled_from([1, 300, 900]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.book.now += seconds

    @rule(really=st.sampled_from([False] * 4 + [True]))
    def drift(self, really: bool) -> None:
        """The policy changes."""
        if really:
            self.dead = self.dead or self.live
            self.run(self.book.ledger.drifted("grant-uid"))

    @rule()
    def sweep(self) -> None:
        """Time is taken notice of, or not; it counts either way."""
        self.run(self.book.ledger.sweep_grants())

    @rule(really=st.sampled_from([False] * 4 + [True]))
    def restart(self, really: bool) -> None:
        """The broker ends and comes back."""
        if really:
            self.book.restart()

    @rule()
    def use(self) -> None:
        """A decision rests on the Grant: it is a yes exactly when the plain definition says so."""
        may = self.live and len(self.said) >= self.quorum
        wish = self.book.permit(Reservation("grant:grant-uid", self.uses))
        permit = replace(wish, grant="grant-uid", approvers=tuple(self.said), seal=self.book.seal)
        ask = self.book.ask(self.session, f"r-{self.book.ledger.reader.events()[-1].seq}")
        answer = self.run(self.book.ledger.permit(ask, permit, self.book.terms))
        self.taken += may

        assert isinstance(answer, Granted) == may


def test_any_order_of_things() -> None:
    """Runs the machine above."""
    machine = Asked.TestCase
    machine.settings = settings(max_examples=10, stateful_step_count=10, deadline=None)
    machine().runTest()
