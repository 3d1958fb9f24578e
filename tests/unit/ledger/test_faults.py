"""No ledger, no yes; what was answered is there after any end; the writer recovers with the disk."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from databases import only_postgresql, only_sqlite

from doorward.errors import Code, Refusal
from doorward.ledger import Granted, Ledger, LedgerUnusable, statements, store
from doorward.ledger.schema import CAPABILITIES, DECISIONS

CHILD = """
import asyncio, sys
from doorward.core.action import Action
from doorward.core.decision import Denial, Permit, Principal, Reservation
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.errors import Code
from doorward.ledger import Ask, Door, Evidence, Ledger, Pin, Terms

async def main():
    ledger = Ledger(sys.argv[1])
    pin = Pin("u", "agents", "fix", "role", "{}", "p", "pod", 1.0, "alice", "image")
    opened = await ledger.open_session(pin, Door("k", Evidence("c", 0), ""), last_try=True)
    permit = Permit(Action("code", "a", {}, {}), Effect.DRAFT, Principal("u", "fix", "agents", "role", "a"),
                    "r", "sha256:p", "connector:code", (Reservation("a", 10**9),), {}, SEAL)
    terms = Terms("e", 60, 10, lambda wanted, used: Denial(Code.LIMIT_EXCEEDED, ""))
    async def lane(name):
        for number in range(10**9):
            ask = Ask(opened.session.id, f"{name}-{number}", "code", "a", "draft", "sha256:d", {})
            granted = await ledger.permit(ask, permit, terms)
            print(granted.capability, flush=True)
    await asyncio.gather(*(lane(name) for name in range(8)))

asyncio.run(main())
"""


async def test_what_was_answered_survives_sigkill(book: Any) -> None:
    """A process killed in the middle of writing lost no yes, counted each, and left the chain whole (I1)."""
    book.ledger.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, book.url, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    answered = [(await child.stdout.readline()).decode().strip() for _ in range(300)]
    child.kill()
    rest = (await child.stdout.read()).decode()
    await child.wait()
    answered += rest.split("\n")[:-1]
    book.start()
    stored = {row["jti"] for row in book.rows(CAPABILITIES)}

    assert set(answered) <= stored
    assert await book.ledger.used([("a", None)]) == [len(stored)]
    assert book.ledger.reader.first_break() is None


async def test_a_locked_database_is_a_no_and_then_a_yes_again(book: Any) -> None:
    """Somebody else holds the write lock: `unavailable`; they let go: it goes on by itself."""
    session = await book.session()
    engine = store.engine(book.url)
    other = engine.connect()
    for text in statements.Statements(engine.dialect.name).begin:
        other.exec_driver_sql(text)
    with pytest.raises(Refusal) as caught:
        await book.ledger.permit(book.ask(session), book.permit(), book.terms)
    sick = book.ledger.healthy
    other.exec_driver_sql("ROLLBACK")
    other.close()
    engine.dispose()
    granted = await book.ledger.permit(book.ask(session), book.permit(), book.terms)

    assert (caught.value.code, sick) == (Code.UNAVAILABLE, False)
    assert (isinstance(granted, Granted), book.ledger.healthy) == (True, True)


@only_sqlite
async def test_a_full_disk_is_a_no_for_everybody_and_then_a_yes_again(book: Any) -> None:
    """No request of a batch that did not fit is answered yes, and none of it is there afterwards."""
    session = await book.session()

    def fill(txn: Any) -> None:
        txn._channel.ask("PRAGMA max_page_count=1")

    await book.ledger._run(fill)
    big = book.permit()
    answers = await asyncio.gather(
        *(
            book.ledger.permit(book.ask(session, f"r{number}", "sha256:" + "d" * 4000), big, book.terms)
            for number in range(40)
        ),
        return_exceptions=True,
    )
    codes = {answer.code for answer in answers if isinstance(answer, Refusal)}

    assert (len(answers), codes, book.rows(DECISIONS)) == (40, {Code.UNAVAILABLE}, [])
    assert isinstance(await book.ledger.permit(book.ask(session), book.permit(), book.terms), Granted)


async def test_one_operation_that_breaks_takes_nothing_with_it(book: Any) -> None:
    """Its neighbours in the batch are committed; what it had written is not (I12)."""

    def breaks(txn: Any) -> None:
        from doorward.telemetry.events import Event  # noqa: PLC0415 - inside the operation on purpose

        txn.append(Event.TASK_ENDED, "half")
        raise ZeroDivisionError

    answers = await asyncio.gather(
        book.session(), book.ledger._run(breaks), book.ledger.head(), return_exceptions=True
    )

    assert answers[1].code == Code.UNAVAILABLE
    assert (answers[2].seq, book.events()) == (2, ["task.pinned", "session.opened"])
    assert book.ledger.reader.first_break() is None


async def test_a_closed_ledger_says_no(book: Any) -> None:
    """What comes while the process ends is refused, not forgotten."""
    book.ledger.close()
    with pytest.raises(Refusal) as caught:
        await book.ledger.head()

    assert caught.value.code == Code.UNAVAILABLE


async def test_what_waits_is_committed_before_the_end(book: Any) -> None:
    """Closing drains the queue."""
    waiting = [book.ledger._run(lambda txn: txn.head) for _ in range(100)]
    book.ledger.close()

    assert len(await asyncio.gather(*waiting)) == 100


async def test_a_caller_that_left_does_not_disturb_the_others(book: Any) -> None:
    """Cancelling undoes nothing and breaks nothing."""
    left = book.ledger._run(lambda txn: txn.head)
    left.cancel()

    assert (await book.ledger.head()).seq == 0


def test_a_ledger_that_cannot_be_opened_does_not_start(tmp_path: Any) -> None:
    """Better no process than one without a ledger."""
    (tmp_path / "noise.db").write_bytes(b"this is no database" * 100)
    for url in (f"sqlite:///{tmp_path}/absent/ledger.db", f"sqlite:///{tmp_path}/noise.db", "nonsense"):
        with pytest.raises(LedgerUnusable):
            Ledger(url)


def test_an_address_is_never_in_what_is_said_about_it(tmp_path: Any) -> None:
    """It holds a password: not in an error for a bad file, a bad address or a server that is away."""
    file = tmp_path / "url"
    said = []
    for address in ("postgresql://u:hunter2@", "nonsense hunter2", "postgresql://u:hunter2@127.0.0.1:1/l"):
        file.write_text(address)
        with pytest.raises(LedgerUnusable) as caught:
            Ledger(file)
        said.append(f"{caught.value} {caught.value.__cause__}")

    assert [text for text in said if "hunter2" in text] == []


@only_postgresql
async def test_a_changed_address_counts_from_the_next_connection_on(ledger_url: str, tmp_path: Any) -> None:
    """A rotated password needs no restart of the broker: the file is read anew."""
    file = tmp_path / "url"
    file.write_text(ledger_url.replace("?", "_absent?"))
    engine = store.engine(file)
    with pytest.raises(LedgerUnusable):
        store.upgrade(engine)
    file.write_text(ledger_url)
    store.upgrade(engine)
    engine.dispose()


def test_no_network_is_trusted_without_being_told(tmp_path: Any) -> None:
    """Without a word about TLS the certificate is verified, unless the server is on this machine."""
    asked = {}
    for host in ("db.example", "10.0.0.1", "127.0.0.1", ""):
        url = f"postgresql+psycopg://u@{host}/ledger"
        parameters: dict[str, Any] = {}
        store._address(url, store.engine(url).dialect, parameters)
        asked[host] = parameters["sslmode"]

    assert asked == {
        "db.example": "verify-full",
        "10.0.0.1": "verify-full",
        "127.0.0.1": "prefer",
        "": "prefer",
    }
