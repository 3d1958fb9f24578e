"""Opening the database: SQLite on a volume, or PostgreSQL. One text for both.

SQLite runs with a write-ahead log and a full sync at each commit; checkpoints come every 4000 pages,
since frequent ones set the worst latencies.

PostgreSQL must wait for its disk, or what it says is durable is not: a server with `fsync` off is
refused, and `synchronous_commit` is put back where it was taken away. Its address holds a password, so
it comes from a file, which is read anew for each connection: a changed password needs no restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from doorward.errors import DoorwardError

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA busy_timeout=1000",
)
_NETWORK: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "doorward-broker",
}
"""A server that vanished is noticed in about ten seconds."""
_LIMITS: Final = (
    # The machine of a broker that holds the lock may vanish: the server lets go of it for the others.
    "SET idle_in_transaction_session_timeout = '5s'",
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '20s'",
    """SELECT set_config('synchronous_commit', 'on', false)
       WHERE current_setting('synchronous_commit') IN ('off', 'local')""",
)
_MIGRATING: Final = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": ("SET lock_timeout = '60s'", "BEGIN", "SELECT pg_advisory_xact_lock(7266012)"),
}
"""Several brokers may start at once: one migrates, the others wait for it."""


class LedgerUnusable(DoorwardError):  # noqa: N818 - names what happened, as in doorward.errors
    """The database cannot be opened or brought up to date."""


def engine(where: str | Path) -> Engine:
    """An engine whose connections commit only when told to, by plain `BEGIN` and `COMMIT`.

    `where` is an address, or the file that holds it. Raises `LedgerUnusable` for one that names no
    database; the message never holds the address.
    """
    url = _read(where)
    pooled: dict[str, Any] = {"poolclass": NullPool}
    if url.get_backend_name() == "postgresql":
        pooled = {"poolclass": QueuePool, "pool_size": 4, "max_overflow": 4, "pool_pre_ping": True}
    try:
        created = create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True, **pooled)
    except (SQLAlchemyError, ImportError) as error:
        raise LedgerUnusable("the address names no database that is known here") from error
    if created.dialect.name == "sqlite":
        event.listen(created, "connect", _prepare_sqlite)
    else:
        event.listen(created, "do_connect", lambda dialect, *found: _address(where, dialect, found[-1]))
        event.listen(created, "connect", _prepare_postgresql)
    return created


def upgrade(target: Engine) -> None:
    """Bring the schema to the newest version; does nothing when it is. Raises `LedgerUnusable`."""
    config = Config()
    config.set_main_option("script_location", str(resources.files("doorward.ledger") / "migrations"))
    try:
        with target.connect() as connection:
            for text in _MIGRATING[target.dialect.name]:
                connection.exec_driver_sql(text)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql("COMMIT")
            connection.invalidate()
    except (SQLAlchemyError, CommandError) as error:
        raise LedgerUnusable(str(error)) from error


def file_of(target: Engine) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL."""
    name = target.url.database if target.dialect.name == "sqlite" else None
    return Path(name) if name else None


def _read(where: str | Path) -> URL:
    try:
        url = make_url(where.read_text().strip() if isinstance(where, Path) else where)
    except (OSError, ValueError) as error:
        raise LedgerUnusable(f"the file with the address cannot be read: {error}") from error
    except SQLAlchemyError as error:
        raise LedgerUnusable("the address is no URL") from error
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    return url


def _address(where: str | Path, dialect: Dialect, parameters: dict[str, Any]) -> None:
    """Fill in what the address says by now. Without a word about TLS, no network is trusted."""
    found: Mapping[str, Any] = dialect.create_connect_args(_read(where))[1]
    host = str(found.get("host", ""))
    local = host.startswith("/") or host in {"", "localhost", "127.0.0.1", "::1"}
    parameters.clear()
    parameters.update({"sslmode": "prefer" if local else "verify-full", **_NETWORK, **found})


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _prepare_postgresql(connection: Any, _: object) -> None:
    connection.autocommit = True
    for text in _LIMITS:
        connection.execute(text)
    if connection.execute("SHOW fsync").fetchone()[0] != "on":
        connection.close()
        raise LedgerUnusable("the server runs with fsync off: it would lose what it says is durable")


def inode(path: Path) -> tuple[int, int] | None:
    """What the name stands for at this moment; None while there is nothing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
