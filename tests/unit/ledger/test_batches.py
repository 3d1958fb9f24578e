"""A batch is nothing but its operations one after the other: the same rows, the same answers.

Within a batch rows wait, counters are kept in memory and reads are made ahead. So any operations, with
neighbours that fail at any point, are run twice: all in one transaction, and each in its own.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from books import DOOR, Book
from databases import ENGINES, Databases, only_postgresql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from doorward.core.decision import Denial, Reservation, Unit
from doorward.core.grade import Cause
from doorward.errors import Code, Refusal
from doorward.ledger import (
    Birth,
    Claim,
    Granted,
    Redeemed,
    Report,
    attendance,
    counters,
    decisions,
    lineage,
    redemptions,
    settling,
    store,
    tasks,
)
from doorward.ledger.channel import Pipeline, Question, channel
from doorward.ledger.schema import EVENTS, METADATA, PROOFS, RESERVATIONS, SETTLED
from doorward.ledger.statements import Statements
from doorward.ledger.timekeeping import Pace
from doorward.ledger.transaction import Transaction
from doorward.ledger.writer import Writer
from doorward.telemetry.events import Event

EXAMPLES = int(os.environ.get("DOORWARD_BATCHES", "5"))
"""On PostgreSQL; three times as many on SQLite."""
WISHES = (
    (),
    (Reservation("hot", 4),),
    (Reservation("hot", 4), Reservation("minute", 3, 1, 60)),
    (Reservation("hot", 4), Reservation("hot", 4)),
    (Reservation("tokens", 25, 10, None, Unit.TOKENS, 10), Reservation("open", 3, kind="issue")),
    (Reservation("hot", 0),),
)
BURST = 9
"""Rows that are sent before a batch ends: few enough for any two decisions."""
EARLIER = (("permit", 0, "old", 4), ("permit", 1, "spent", 2), ("redeem", -2, "n"))
"""One action that was permitted and never spent, and one that was spent and never reported."""
TERMS = Book.terms_of("epoch-1", 3)
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|sha256:[0-9a-f]{64}")

_WRITING = """SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database()
    AND relation = 'capabilities'::regclass AND mode = 'RowExclusiveLock'"""
_ECHO = "SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[])"
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.sampled_from(
    ["", "NULL", '"', "\\", '\\"', "{}", "a,b", '","', " "]
)

Step = tuple[Any, ...]
"""The name of an operation and what it is given; see `Half`."""


@dataclass
class Half:
    """One of two ledgers to which the same happens."""

    url: str
    most: int
    now: float = 1000.0
    answers: dict[int, Any] = field(default_factory=dict)
    """What each operation answered, also for those after it."""
    sessions: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Of the transactions that were committed."""

    def __post_init__(self) -> None:
        self.engine = store.engine(self.url)
        pace = Pace(lambda: self.now, lambda: self.now)
        self.writer = Writer(self.engine, pace, self, max_batch=self.most, burst=BURST)

    def committed(self, _: float, size: int) -> None:
        """See `Observer`."""
        self.sizes.append(size)

    def failed(self) -> None:
        """See `Observer`."""

    def close(self) -> None:
        """Leave nothing open."""
        self.writer.close()
        self.engine.dispose()

    async def begin(self) -> None:
        """Two tasks, and what happened long ago."""
        for uid in ("t-0", "t-1"):
            pin = Book.pin(uid=uid, name=uid, pod_uid=uid)
            opened: Any = await self.writer.submit(
                lambda txn, pin=pin: tasks.open_session(txn, pin, DOOR, last_try=True)
            )
            self.sessions.append(opened.session.id)
        for number, step in enumerate(
            [("permit", 0, "old", 4), ("permit", 1, "spent", 2), ("redeem", -2, "n")], -3
        ):
            self.answers[number] = await self.writer.submit(self.operation(step))
        self.now += 200

    def operation(self, step: Step) -> Callable[[Transaction], Any]:
        """What a step does in a transaction."""
        name, *given = step
        return lambda txn: getattr(self, f"_{name}")(txn, *given)

    def reads(self, step: Step) -> Any:
        """What it reads ahead."""
        wishes: Any = None
        match step[1] if step[0] in {"fails", "refuses"} else step:
            case "permit", session, request, which, *_:
                wishes = decisions.reads(Book.ask(self.sessions[session], request), WISHES[which])
            case "deny", session, request:
                wishes = decisions.reads(Book.ask(self.sessions[session], request))
            case "redeem", which, nonce:
                wishes = redemptions.redeeming(self._claim(which, nonce))
            case "report", which, outcome:
                wishes = redemptions.reporting(self._told(which, outcome))
            case "proof", nonce:
                wishes = attendance.proving("key", nonce)
        return wishes

    def _permit(
        self, txn: Transaction, session: int, request: str, wishes: int, digest: str = "sha256:d"
    ) -> Any:
        ask = Book.ask(self.sessions[session], request, digest)
        return decisions.permit(txn, ask, Book.permit(*WISHES[wishes]), TERMS)

    def _deny(self, txn: Transaction, session: int, request: str) -> Any:
        return decisions.deny(
            txn, Book.ask(self.sessions[session], request), Denial(Code.NO_RULE, "no"), TERMS
        )

    def _claim(self, which: int, nonce: str) -> Claim:
        granted = self.answers.get(which)
        jti = granted.capability if isinstance(granted, Granted) else "none"
        return Book.claim(jti, nonce=nonce)

    def _redeem(self, txn: Transaction, which: int, nonce: str) -> Any:
        return redemptions.redeem(txn, self._claim(which, nonce), "epoch-1")

    def _told(self, which: int, outcome: str) -> Report:
        redeemed = self.answers.get(which)
        redemption = redeemed.redemption if isinstance(redeemed, Redeemed) else "none"
        return Book.report(redemption, outcome=outcome, sent=outcome != "failed", usage={"tokens": 3})

    def _report(self, txn: Transaction, which: int, outcome: str) -> Any:
        return redemptions.report(txn, self._told(which, outcome))

    def _revoke(self, txn: Transaction, uid: str, subject: str) -> Any:
        return tasks.latch(txn, uid, (subject,), {})

    def _freeze(self, txn: Transaction, task: int) -> Any:
        return tasks.freeze(txn, f"t-{task}", "why", Cause.DENIALS)

    def _end(self, txn: Transaction, task: int) -> Any:
        return tasks.end(txn, f"t-{task}", "why")

    def _close(self, txn: Transaction, session: int) -> Any:
        return tasks.close_session(txn, self.sessions[session], "why")

    def _sweep(self, txn: Transaction) -> Any:
        return redemptions.sweep(txn)

    def _used(self, txn: Transaction, key: str, window: int | None) -> Any:
        return counters.used(txn, key, window)

    def _proof(self, txn: Transaction, nonce: str) -> Any:
        return attendance.use_proof(txn, "key", nonce)

    def _child(self, txn: Transaction, request: str) -> Any:
        """Takes of a counter first and executes something then."""
        birth = Birth("t-0", request, f"child-{request}", "bug-fixer", "sha256:d")
        return lineage.start(txn, birth, Reservation("children", 2))

    def _look(self, txn: Transaction, nonce: str) -> Any:
        """Adds a row and reads it back."""
        txn.add(PROOFS, thumbprint="looked", nonce=nonce, expires_at=0.0)
        return len(txn.all(select(PROOFS).where(PROOFS.c.thumbprint == "looked")))

    def _twice(self, txn: Transaction, nonce: str) -> Any:
        """Adds what may be there: a constraint breaks, at once or when the row is written."""
        txn.add(PROOFS, thumbprint="key", nonce=nonce, expires_at=txn.now + attendance.PROOF_SECONDS)

    def _nul(self, txn: Transaction) -> Any:
        """A text that PostgreSQL cannot store, and SQLite can: refused on one, and nobody's loss."""
        txn.append(Event.TASK_ENDED, "half")
        txn.add(PROOFS, thumbprint="key", nonce="\ud800", expires_at=0.0)

    def _cut(self, txn: Transaction) -> Any:
        """A text that libpq would cut, beside whole ones."""
        txn.add(PROOFS, thumbprint="key", nonce="a\0b", expires_at=0.0)

    def _arrived(self, _: Transaction) -> Any:
        """Whether the server writes capabilities already, as another connection sees it."""
        deadline = time.monotonic() + 30
        with self.engine.connect() as other:
            while time.monotonic() < deadline:
                if other.execute(text(_WRITING)).scalar_one():
                    return True
        return False

    def _fails(self, txn: Transaction, step: Step) -> Any:
        self.operation(step)(txn)
        raise ZeroDivisionError

    def _refuses(self, txn: Transaction, step: Step) -> Any:
        self.operation(step)(txn)
        raise Refusal(Code.REVOKED, "no")

    def _attempt(self, number: int, step: Step) -> Callable[[Transaction], Any]:
        def attempt(txn: Transaction) -> Any:
            self.answers.pop(number, None)  # of an attempt in a batch that was given up
            self.answers[number] = self.operation(step)(txn)
            return self.answers[number]

        return attempt

    async def run(self, steps: Sequence[Step]) -> list[str]:
        """What everybody is told. What is submitted while the writer is held is one batch."""
        held, free = threading.Event(), threading.Event()

        def hold(_: Transaction) -> None:
            held.set()
            free.wait(5)

        first = self.writer.submit(hold)
        await asyncio.to_thread(held.wait, 5)
        waiting = [
            self.writer.submit(self._attempt(number, step), reads=self.reads(step))
            for number, step in enumerate(steps)
        ]
        free.set()
        await first
        found = await asyncio.gather(*waiting, return_exceptions=True)
        return [
            f"{item.code.value} {item.detail}" if isinstance(item, Refusal) else repr(item) for item in found
        ]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that is stored, events in order."""
        with self.engine.connect() as connection:
            found = {
                name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for name, table in METADATA.tables.items()
            }
        found[EVENTS.name].sort(key=lambda row: int(row["seq"]))
        return found


def told(rows: dict[str, list[dict[str, Any]]], answers: list[str]) -> list[str]:
    """Rows and answers with what is random replaced by the number of its first appearance."""
    names: dict[str, str] = {}

    def plain(value: object) -> str:
        return RANDOM.sub(lambda found: names.setdefault(found[0], f"<{len(names)}>"), repr(value))

    said = [plain(row) for row in rows[EVENTS.name]] + [plain(answer) for answer in answers]
    return said + sorted(f"{name} {plain(row)}" for name, found in rows.items() for row in found)


REQUESTS = st.sampled_from("abcdef")
WHICH = st.integers(-3, 12)
ACTS = st.one_of(
    st.tuples(st.just("permit"), st.integers(0, 1), REQUESTS, st.integers(0, len(WISHES) - 1)),
    st.tuples(st.just("permit"), st.integers(0, 1), REQUESTS, st.just(0), st.just("sha256:other")),
    st.tuples(st.just("deny"), st.integers(0, 1), REQUESTS),
    st.tuples(st.just("redeem"), WHICH, st.sampled_from("nm")),
    st.tuples(st.just("report"), WHICH, st.sampled_from(["succeeded", "failed"])),
    st.tuples(st.just("used"), st.sampled_from(["hot", "tokens", "minute"]), st.sampled_from([None, 60])),
    st.tuples(st.just("proof"), st.sampled_from("xy")),
    st.tuples(st.just("child"), st.sampled_from("xyz")),
    st.just(("sweep",)),
)
RARE = st.one_of(
    st.tuples(st.just("revoke"), st.sampled_from("uv"), st.sampled_from(["task:agents/t-0", "everything"])),
    st.tuples(st.just("freeze"), st.integers(0, 1)),
    st.tuples(st.just("end"), st.integers(0, 1)),
    st.tuples(st.just("close"), st.integers(0, 1)),
    st.tuples(st.just("twice"), st.sampled_from("xy")),
    st.just(("nul",)),
    st.just(("cut",)),
)
ANY = st.one_of(ACTS, ACTS, ACTS, RARE)
STEPS = st.lists(
    st.one_of(ANY, ANY, ANY, st.tuples(st.sampled_from(["fails", "refuses"]), ANY)), min_size=2, max_size=14
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger in a file: copying it is faster than making another."""
    made = tmp_path_factory.mktemp("template") / "ledger.db"
    engine = store.engine(f"sqlite:///{made}")
    store.upgrade(engine)
    engine.dispose()
    return made


@contextmanager
def pair(kind: str, databases: Databases, template: Path) -> Iterator[tuple[Half, Half]]:
    """Two ledgers with the same beginning: one for batches, one for one at a time."""
    with ExitStack() as stack:
        if kind == "postgresql":
            urls = [stack.enter_context(databases.lend()) for _ in range(2)]
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            files = [Path(shutil.copy(template, folder / name)) for name in ("together", "alone")]
            urls = [f"sqlite:///{file}" for file in files]
        halves = Half(urls[0], 256), Half(urls[1], 1)
        for half in halves:
            stack.callback(half.close)
        yield halves


async def both(halves: tuple[Half, Half], steps: Sequence[Step]) -> tuple[list[str], list[str]]:
    """What is there and was said after the same steps, in one batch and one by one."""
    found = []
    for half in halves:
        await half.begin()
        answers = await half.run(steps)
        found.append(told(half.rows(), answers))
    return found[0], found[1]


@pytest.mark.parametrize("kind", ENGINES)
def test_a_batch_is_its_operations_one_after_the_other(
    kind: str, databases: Databases, template: Path
) -> None:
    """Whatever they are and whichever fail: the same rows and the same answers (I4, I5, I6, I7, I12)."""

    @settings(max_examples=EXAMPLES * (3 if kind == "sqlite" else 1), deadline=None)
    @given(STEPS)
    def same(steps: list[Step]) -> None:
        with pair(kind, databases, template) as halves:
            together, alone = asyncio.run(both(halves, steps))

        assert together == alone

    same()


KNOWN: dict[str, list[Step]] = {
    "the same request twice": [("permit", 0, "a", 1), ("permit", 0, "a", 1), ("deny", 0, "a")],
    "another digest under a known request": [("permit", 0, "a", 1), ("permit", 0, "a", 0, "sha256:other")],
    "revoked meanwhile": [("permit", 0, "a", 1), ("revoke", "u", "everything"), ("permit", 1, "b", 1)],
    "the task alone revoked": [
        ("revoke", "u", "task:agents/t-0"),
        ("permit", 0, "a", 1),
        ("permit", 1, "b", 1),
    ],
    "frozen meanwhile": [("permit", 0, "a", 1), ("freeze", 0), ("permit", 0, "b", 1), ("permit", 1, "b", 1)],
    "closed meanwhile": [("close", 0), ("permit", 0, "a", 1), ("end", 1), ("permit", 1, "a", 1)],
    "more than fits": [("permit", n % 2, r, 2) for n, r in enumerate("abcdef")] + [("used", "hot", None)],
    "twice of one counter": [("permit", 0, r, 3) for r in "abc"],
    "given back meanwhile": [
        ("permit", 0, "a", 4),
        ("redeem", 0, "n"),
        ("report", 1, "failed"),
        ("used", "tokens", None),
        ("permit", 0, "b", 4),
        ("sweep",),
        ("permit", 1, "c", 4),
    ],
    "one that fails after it only added": [
        ("permit", 0, "a", 1),
        ("fails", ("permit", 0, "b", 1)),
        ("permit", 0, "b", 1),
        ("used", "hot", None),
    ],
    "one that fails after it took and executed": [
        ("child", "x"),
        ("refuses", ("child", "y")),
        ("used", "children", None),
        ("child", "z"),
        ("child", "y"),
    ],
    "one that fails after it executed": [
        ("permit", 0, "a", 1),
        ("fails", ("redeem", 0, "n")),
        ("redeem", 0, "m"),
        ("refuses", ("sweep",)),
        ("permit", 1, "a", 4),
        ("refuses", ("freeze", 1)),
        ("permit", 1, "b", 1),
    ],
    "one that fails after it read what it added": [
        ("permit", 0, "a", 1),
        ("fails", ("look", "w")),
        ("look", "v"),
        ("refuses", ("proof", "x")),
        ("proof", "x"),
        ("proof", "x"),
    ],
    "one too many denials": [("deny", 0, r) for r in "abcde"] + [("permit", 0, "f", 1)],
    "a broken constraint": [("permit", 0, "a", 1), ("proof", "x"), ("twice", "x"), ("permit", 0, "b", 1)],
    "what cannot be stored": [
        ("permit", 0, "a", 1),
        ("nul",),
        ("permit", 0, "b", 1),
        ("cut",),
        ("proof", "x"),
    ],
}


@pytest.mark.parametrize("steps", KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize("kind", ENGINES)
async def test_the_same_in_one_batch(
    kind: str, steps: list[Step], databases: Databases, template: Path
) -> None:
    """What is easy to get wrong when rows wait and reads are old (I4, I5, I7, I12)."""
    with pair(kind, databases, template) as halves:
        together, alone = await both(halves, steps)

    assert together == alone


async def test_a_repeated_request_leaves_its_batch_whole(ledger_url: str) -> None:
    """What was read ahead is not believed once a row was added that it would have found."""
    store.upgrade(store.engine(ledger_url))
    half = Half(ledger_url, 256)
    await half.begin()
    sizes = half.sizes = []
    first, again, _ = await half.run([("permit", 0, "a", 1), ("permit", 0, "a", 1), ("permit", 1, "a", 1)])
    half.close()

    assert first == again
    assert sizes == [1, 3]


@only_postgresql
@pytest.mark.parametrize("what", ["nul", "cut"])
async def test_what_cannot_be_stored_leaves_its_batch_whole(what: str, ledger_url: str) -> None:
    """It is refused before it stands beside the rows of others, which need no transaction of their own."""
    store.upgrade(store.engine(ledger_url))
    half = Half(ledger_url, 256)
    await half.begin()
    sizes = half.sizes = []
    _, refused, _ = await half.run([("permit", 0, "a", 1), (what,), ("permit", 1, "a", 1)])
    half.close()

    assert refused.startswith("unavailable")
    assert sizes == [1, 3]


class Counting(Pipeline):
    """Counts how often somebody waited for the server."""

    rounds = 0

    def _answers(self) -> Any:
        self.rounds += 1
        return super()._answers()


def at_once(half: Half, steps: Sequence[Step]) -> tuple[list[Any], int]:
    """What operations answer in one transaction, and how many round trips that took."""
    connection = half.engine.raw_connection()
    way = Counting(connection.driver_connection)
    txn = Transaction(way, Statements("postgresql"), Pace(lambda: half.now, lambda: half.now), BURST)
    txn.begin()
    txn.read_ahead(wish for step in steps for wish in half.reads(step)(txn))
    answers = []
    for step in steps:
        txn.savepoint()
        answers.append(half.operation(step)(txn))
        txn.release()
    txn.commit()
    way.close()
    connection.invalidate()
    return answers, way.rounds


@only_postgresql
@pytest.mark.parametrize("count", [2, 12])
async def test_more_actions_take_no_more_round_trips(count: int, ledger_url: str) -> None:
    """Neither to decide, redeem and report them, nor to take the proofs that come with them."""
    store.upgrade(store.engine(ledger_url))
    half = Half(ledger_url, 256)
    await half.begin()
    granted, deciding = at_once(half, [("permit", n % 2, f"r-{n}", 0) for n in range(count)])
    half.answers = dict(enumerate(granted))
    redeemed, redeeming = at_once(half, [("redeem", n, "n") for n in range(count)])
    half.answers = dict(enumerate(redeemed))
    told, reporting = at_once(half, [("report", n, "succeeded") for n in range(count)])
    _, proving = at_once(half, [("proof", f"p-{n}") for n in range(count)])
    half.close()

    assert all(item.new for item in told)
    assert (deciding, redeeming, reporting, proving) == (3, 4, 4, 3)


@only_postgresql
async def test_a_server_writes_while_operations_still_run(ledger_url: str) -> None:
    """What was decided first is on its way before the last of the batch is decided."""
    store.upgrade(store.engine(ledger_url))
    half = Half(ledger_url, 256)
    await half.begin()
    *_, seen = await half.run([("permit", 0, "a", 2), ("permit", 1, "b", 2), ("arrived",)])
    half.close()

    assert seen == "True"


@only_postgresql
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(TEXTS, TEXTS | st.none(), st.integers(-(2**63), 2**63 - 1) | st.none()), min_size=1
    )
)
def test_what_waits_arrives_as_it_was(ledger_url: str, rows: list[tuple[Any, ...]]) -> None:
    """Whatever its texts look like, and whichever columns are empty."""
    engine = store.engine(ledger_url)
    connection = engine.raw_connection()
    way = channel("postgresql", connection)
    try:
        assert way.look is not None
        waiting = [way.row(row) for row in rows]
        found = way.look([Question(_ECHO, waiting, (str, str, int))])
    finally:
        way.close()
        connection.invalidate()
        engine.dispose()

    assert [tuple(row) for row in found[0]] == rows


async def test_what_waits_is_seen_by_who_asks(book: Any) -> None:
    """A read of a table finds the rows that an operation before it in the transaction added."""

    def look(txn: Transaction) -> tuple[int, int]:
        before = len(txn.all(select(PROOFS)))
        txn.add(PROOFS, thumbprint="key", nonce="n", expires_at=txn.now)
        return before, len(txn.all(select(PROOFS)))

    assert await book.ledger._run(look) == (0, 1)


@pytest.mark.parametrize("keyed", [False, True])
async def test_what_changes_is_seen_by_who_asks(book: Any, *, keyed: bool) -> None:
    """A read finds what an operation before it changed, whether or not it said whose row that was."""
    wish = Reservation("tokens", 25, 10, None, Unit.TOKENS, 10)
    answer = await book.ledger.permit(book.ask(await book.session()), book.permit(wish), book.terms)
    spent = await book.ledger.redeem(book.claim(answer.capability), "epoch-1")
    kept = settling.kept(spent.redemption)
    only = [key for key in kept.only if key[0] == RESERVATIONS.name] if keyed else []

    def look(txn: Transaction) -> list[int]:
        row = txn.every(kept)[0]
        named = {name: row[name] for name in SETTLED.key}
        txn.change(SETTLED, *only, **named, uncertain=3, kind="")
        return [row["uncertain"], *(found["uncertain"] for found in txn.every(kept))]

    found = await book.ledger._writer.submit(look, reads=lambda _: [kept])

    assert found == [10, 3]


async def test_what_was_read_back_is_undone_too(book: Any) -> None:
    """A row that a read forced into the database goes with the operation that added it (I12)."""

    def look(txn: Transaction) -> None:
        txn.add(PROOFS, thumbprint="key", nonce="n", expires_at=txn.now)
        txn.all(select(PROOFS))
        raise Refusal(Code.REVOKED, "no")

    with pytest.raises(Refusal):
        await book.ledger._run(look)

    assert book.rows(PROOFS) == []


async def test_what_takes_twice_of_a_counter_stays_below_its_limit(book: Any) -> None:
    """Both reservations count before either is taken, and nothing is taken where one does not fit (I4)."""
    twice = [Reservation("hot", 3, 2), Reservation("hot", 3, 2)]
    found = await book.ledger._run(lambda txn: counters.reserve_all(txn, twice))

    assert found == counters.Over(twice[1], 2)
    assert await book.ledger.used([("hot", None)]) == [0]
