"""Databases for ledgers: a file, or one of a PostgreSQL server that runs as long as the tests do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from devcluster import postgres
from doorward.ledger import store
from doorward.ledger.schema import METADATA

ENGINES = ("sqlite", "postgresql")


@dataclass
class Databases:
    """Databases with the ledger's schema, used by one test after the other: a new one costs 900 files."""

    server: postgres.Server
    _idle: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Address of a database without a row."""
        url = self._idle.pop() if self._idle else self._make()
        yield url
        engine = store.engine(url)
        with engine.connect() as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(table.delete())
        engine.dispose()
        self._idle.append(url)

    def empty(self) -> str:
        """Address of a new database without any table."""
        name = f"ledger_{next(self._numbers)}"
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.server.url(name)

    def _make(self) -> str:
        url = self.empty()
        engine = store.engine(url)
        store.upgrade(engine)
        engine.dispose()
        return url


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A PostgreSQL server of this session."""
    server = postgres.make()
    yield Databases(server)
    server.remove()


@pytest.fixture(params=ENGINES)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger of each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    found: Databases = request.getfixturevalue("databases")
    with found.lend() as url:
        yield url


only_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
"""For what exists only where the ledger is a file."""
only_postgresql = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
"""For what exists only where the ledger is a server."""
