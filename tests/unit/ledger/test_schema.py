"""The schema that migrations make is the one the code speaks, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from databases import ENGINES, Databases
from sqlalchemy import Executable
from sqlalchemy.schema import CreateTable

from doorward.ledger import (
    attendance,
    counters,
    decisions,
    grants,
    lineage,
    redemptions,
    revocations,
    settling,
    statements,
    store,
    tasks,
    transaction,
)
from doorward.ledger.schema import METADATA


@pytest.mark.parametrize("kind", ENGINES)
def test_migrations_end_where_the_tables_are(kind: str, databases: Databases, tmp_path: Path) -> None:
    """Running them twice changes nothing, and nothing is left to migrate."""
    engine = store.engine(
        databases.empty() if kind == "postgresql" else f"sqlite:///{tmp_path / 'ledger.db'}"
    )
    store.upgrade(engine)
    store.upgrade(engine)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), METADATA)

    engine.dispose()

    assert differences == []


def test_sqlite_runs_with_a_log_and_full_syncs(tmp_path: Path) -> None:
    """A yes survives the machine, not only the process."""
    with store.engine(f"sqlite:///{tmp_path / 'ledger.db'}").connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
        }

    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "wal_autocheckpoint": 4000}


def test_every_statement_has_a_text_for_postgresql() -> None:
    """One text for both databases: nothing is written for SQLite alone."""
    compiler = statements.Statements("postgresql")
    modules = (
        attendance,
        counters,
        decisions,
        grants,
        lineage,
        redemptions,
        revocations,
        settling,
        tasks,
        transaction,
    )
    found = [item for module in modules for item in vars(module).values() if isinstance(item, Executable)] + [
        compiler.keep_time
    ]
    texts = [compiler.of(statement).text for statement in found]
    tables = [str(CreateTable(table).compile(dialect=compiler.dialect)) for table in METADATA.tables.values()]

    assert len(texts) > 25
    assert all("?" not in text for text in texts)
    assert len(tables) == len(METADATA.tables)
