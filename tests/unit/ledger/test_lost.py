"""A ledger that is not the one that was written before gets nothing more; a lost connection costs nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import Databases, only_postgresql, only_sqlite
from sqlalchemy import delete, insert
from waiting import until

from doorward.broker.settings import Settings
from doorward.core import settings
from doorward.errors import Code, ConfigError, Refusal
from doorward.ledger import Ledger, LedgerUnusable, store
from doorward.ledger.schema import EVENTS, PROOFS
from doorward.telemetry.events import Event


async def code_of(waiting: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value.code


@contextmanager
def administrator(databases: Databases) -> Iterator[Any]:
    with psycopg.connect(databases.server.url(), autocommit=True) as connection:
        yield connection


def move_away(path: Path, *, replaced: bool) -> None:
    moved = path.rename(path.with_name("moved"))
    if replaced:
        path.write_bytes(moved.read_bytes())


@only_sqlite
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_removed_takes_no_yes(book: Any, *, replaced: bool) -> None:
    """It could be written for ever, and nobody would read it. What is there instead is not taken either."""
    session = await book.session()
    move_away(Path(book.url.removeprefix("sqlite:///")), replaced=replaced)
    codes = [await code_of(book.ledger.permit(book.ask(session), book.permit(), book.terms)) for _ in "ab"]

    assert codes == [Code.UNAVAILABLE, Code.UNAVAILABLE]
    assert (book.ledger.healthy, "removed or replaced" in str(book.ledger.lost)) == (False, True)


async def test_a_ledger_that_is_set_back_while_it_is_used_takes_no_yes(book: Any) -> None:
    """A standby that lagged behind, a backup put back: the end of the chain is not ours any more (I10)."""
    session = await book.session()
    engine = store.engine(book.url)
    with engine.connect() as connection:
        connection.execute(delete(EVENTS).where(EVENTS.c.event == Event.SESSION_OPENED.value))
    engine.dispose()
    codes = [await code_of(book.ledger.permit(book.ask(session), book.permit(), book.terms)) for _ in "ab"]

    assert (codes, book.ledger.lost) == (
        [Code.UNAVAILABLE] * 2,
        "the ledger was set back while it was in use",
    )


async def test_others_may_append_in_between(book: Any) -> None:
    """Another broker's events are no loss: the chain goes on from ours, through theirs (I6)."""
    await book.session()
    other = Ledger(book.url)
    await other.record(Event.TASK_ENDED, "other")
    other.close()
    await book.ledger.record(Event.TASK_ENDED, "ours")

    assert (book.ledger.lost, book.ledger.reader.first_break()) == (None, None)


@only_postgresql
async def test_a_connection_that_died_while_nobody_used_it_costs_nobody(
    book: Any, databases: Databases
) -> None:
    """A restart of the server between two requests: the second is answered over a new connection."""
    await book.session()
    with administrator(databases) as server:
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'ledger%'")

    assert (await book.ledger.head()).seq == 2


@only_postgresql
async def test_a_server_that_is_away_is_a_no_and_then_a_yes_again(book: Any, databases: Databases) -> None:
    """Stopped: `unavailable` and unhealthy. Started again: it goes on by itself, with everything in it."""
    await book.session()
    databases.server.stop()
    code = await code_of(book.ledger.head())
    sick = book.ledger.healthy
    databases.server.start()  # not in another thread: it ends with the one that started it

    assert (code, sick) == (Code.UNAVAILABLE, False)
    assert ((await book.ledger.head()).seq, book.ledger.healthy) == (2, True)


@only_postgresql
async def test_a_server_that_does_not_wait_for_its_disk_is_refused(
    ledger_url: str, databases: Databases
) -> None:
    """What it calls durable is not. A role's `synchronous_commit` is put back instead."""

    def fsync(server: Any, value: str) -> None:
        server.execute(f"ALTER SYSTEM SET fsync = {value}")
        server.execute("SELECT pg_reload_conf()")

    def shown() -> str:
        with administrator(databases) as fresh:
            return str(fresh.execute("SHOW fsync").fetchone()[0])

    with administrator(databases) as server:
        server.execute("ALTER ROLE doorward SET synchronous_commit = off")
        engine = store.engine(ledger_url)
        with engine.connect() as connection:
            kept = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
        engine.dispose()
        server.execute("ALTER ROLE doorward RESET synchronous_commit")
        fsync(server, "off")
        try:
            await until(lambda: shown() == "off")
            with pytest.raises(LedgerUnusable, match="fsync"):
                Ledger(ledger_url)
        finally:
            fsync(server, "on")
            await until(lambda: shown() == "on")

    assert kept == "on"


async def test_a_broken_constraint_takes_no_neighbour_with_it(book: Any) -> None:
    """In a pipeline it is not known whose statement it was: each is tried again by itself (I12)."""
    row = {"thumbprint": "key", "nonce": "n", "expires_at": 1.0}
    twice = insert(PROOFS)

    def breaks(txn: Any) -> None:
        for _ in range(2):
            txn.put(twice, **row)

    first, broken, last = await asyncio.gather(
        book.session(), book.ledger._run(breaks), book.ledger.head(), return_exceptions=True
    )

    assert (bool(first), broken.code, last.seq) == (True, Code.UNAVAILABLE, 2)
    assert (book.rows(PROOFS), book.ledger.healthy, book.ledger.reader.first_break()) == ([], True, None)


async def test_a_text_with_a_nul_is_not_cut_short(book: Any) -> None:
    """The wire of PostgreSQL would end it there: two texts would become one."""
    await book.session()
    kept = await asyncio.gather(book.ledger.use_proof("a\0b", "n"), return_exceptions=True)
    found = [row["thumbprint"] for row in book.rows(PROOFS)]

    assert found == ([] if isinstance(kept[0], Refusal) else ["a\0b"])


@pytest.mark.parametrize("url", ["postgresql://u:secret@db/l", "postgresql://db/l?user=u&password=secret"])
def test_no_password_stands_in_the_environment(url: str) -> None:
    """It is refused at the start, and the refusal does not repeat it."""
    with pytest.raises(ConfigError) as caught:
        settings.read(Settings, {"DOORWARD_LEDGER_URL": url})

    assert "DOORWARD_LEDGER_FILE" in str(caught.value)
    assert "secret" not in str(caught.value)
