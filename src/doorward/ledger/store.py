"""Opening the database: SQLite on a volume, or PostgreSQL. One text for both.

SQLite runs with a write-ahead log and a full sync at each commit; checkpoints come every 4000 pages,
since frequent ones set the worst latencies.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA busy_timeout=1000",
)


def engine(url: str) -> Engine:
    """An engine whose connections commit only when told to, by plain `BEGIN` and `COMMIT`."""
    created = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    if created.dialect.name == "sqlite":
        event.listen(created, "connect", _prepare_sqlite)
    return created


def upgrade(target: Engine) -> None:
    """Bring the schema to the newest version; does nothing when it is. Raises what the driver raises."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("doorward.ledger") / "migrations"))
    with target.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)
