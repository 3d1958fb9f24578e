"""Opening the database: SQLite on a volume, or PostgreSQL. One text for both.

SQLite runs with a write-ahead log and a full sync at each commit; checkpoints come every 4000 pages,
since frequent ones set the worst latencies.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from doorward.errors import DoorwardError

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA busy_timeout=1000",
)


class LedgerUnusable(DoorwardError):  # noqa: N818 - names what happened, as in doorward.errors
    """The database cannot be opened or brought up to date."""


def engine(url: str) -> Engine:
    """An engine whose connections commit only when told to, by plain `BEGIN` and `COMMIT`.

    Raises `LedgerUnusable` for an address that names no database.
    """
    try:
        created = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    except (SQLAlchemyError, ImportError) as error:
        raise LedgerUnusable(str(error)) from error
    if created.dialect.name == "sqlite":
        event.listen(created, "connect", _prepare_sqlite)
    return created


def upgrade(target: Engine) -> None:
    """Bring the schema to the newest version; does nothing when it is. Raises `LedgerUnusable`."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("doorward.ledger") / "migrations"))
    try:
        with target.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (SQLAlchemyError, CommandError) as error:
        raise LedgerUnusable(str(error)) from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)
