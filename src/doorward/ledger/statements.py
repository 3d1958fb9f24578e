"""Statements of SQLAlchemy Core, compiled once per dialect and then run on the driver's cursor.

Building the SQL again for each call costs three times what the database does. Two forms take many rows at
once: `filling` writes rows of one table, and `lookup` asks one statement for many keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Dialect, Executable, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert
from sqlalchemy.types import NullType

from doorward.ledger.channel import Decoder
from doorward.ledger.schema import CLOCK, COUNTERS, METADATA, Change, fresh

_DECODERS: Final[Mapping[type, Decoder]] = {str: str, int: int, float: float, bool: "t".__eq__}
_NAMES: Final = re.compile(rf"\b({'|'.join(METADATA.tables)})\b")
_PARAMETER: Final = re.compile(r"\$(\d+)")

DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}
"""As `Channel` takes its parameters."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as it is sent."""

    source: Executable
    """Kept, so that nothing else gets its id."""
    text: str
    positions: Sequence[str]
    """Parameters in order."""
    types: Sequence[str]
    """Their types in the database."""
    constants: Mapping[str, Any]
    """Values that are written into the statement."""
    columns: Sequence[str]
    decoders: Sequence[Decoder]
    """What makes a value out of each column's text."""
    tables: frozenset[str]
    """Every table that it names, perhaps more: a column may be called like a table."""

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in order, with the constants."""
        merged = {**self.constants, **values} if self.constants else values
        return tuple([merged[name] for name in self.positions])


class Statements:
    """The compiled form of each statement for one dialect."""

    def __init__(self, name: str) -> None:
        self.dialect = DIALECTS[name]
        self._compiled: dict[int, Compiled] = {}
        self._fillings: dict[str, str] = {}
        self._lookups: dict[int, str] = {}

    def of(self, statement: Executable) -> Compiled:
        """The compiled statement, from the second time on without any work."""
        found = self._compiled.get(id(statement))
        if found is None:
            found = self._compiled[id(statement)] = self._compile(statement)
        return found

    def _compile(self, statement: Executable) -> Compiled:
        compiled: Any = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        columns = tuple(getattr(statement, "selected_columns", ()))
        positions = tuple(compiled.positiontup or ())
        text = str(compiled)
        return Compiled(
            source=statement,
            text=text,
            positions=positions,
            types=tuple(self._type(compiled.binds[name]) for name in positions),
            constants={name: value for name, value in compiled.params.items() if value is not None},
            columns=tuple(column.key for column in columns),
            decoders=tuple(_DECODERS[column.type.python_type] for column in columns),
            tables=frozenset(_NAMES.findall(text)),
        )

    def filling(self, table: Table) -> str:
        """Insert rows, on PostgreSQL as one array for each column. What is taken of a counter is added."""
        found = self._fillings.get(table.name)
        if found is None:
            found = self._fillings[table.name] = self._fill(table)
        return found

    def _fill(self, table: Table) -> str:
        quote, columns = self.dialect.identifier_preparer.quote, fresh(table)
        names = ", ".join(quote(column.name) for column in columns)
        rows = f"VALUES ({', '.join('?' for _ in columns)})"
        if self.dialect.name == "postgresql":
            arrays = _arrays([self._type(column) for column in columns])
            rows = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - types of our own tables
        text = f"INSERT INTO {quote(table.name)} ({names}) {rows}"
        if table is COUNTERS:
            key = ", ".join(quote(column.name) for column in table.primary_key)
            text += f" ON CONFLICT ({key}) DO UPDATE SET used = counters.used + excluded.used"
        return text

    def changing(self, change: Change) -> str:
        """Change rows, on PostgreSQL given as one array for each column."""
        found = self._fillings.get(change.name)
        if found is None:
            found = self._fillings[change.name] = self._change(change)
        return found

    def _change(self, change: Change) -> str:
        quote, columns = self.dialect.identifier_preparer.quote, change.columns
        table, source = quote(change.table.name), ""
        given = {name: f"?{number}" for number, name in enumerate(columns, 1)}
        if self.dialect.name == "postgresql":
            given = {name: f"found.{quote(name)}" for name in columns}
            arrays = _arrays([self._type(change.table.c[name]) for name in columns])
            source = f" FROM unnest({arrays}) AS found ({', '.join(map(quote, columns))})"
        sets = ", ".join(f"{quote(name)} = {given[name]}" for name in change.sets)
        where = [f"{table}.{quote(name)} = {given[name]}" for name in change.key]
        if change.blank is not None:
            where.append(f"{table}.{quote(change.blank)} IS NULL")
        return f"UPDATE {table} SET {sets}{source} WHERE {' AND '.join(where)}"  # noqa: S608 - our own tables

    def lookup(self, statement: Executable) -> str:
        """The same for many keys, one array for each parameter; rows begin with the number of their key.

        Only for PostgreSQL. `OFFSET 0` keeps the planner from turning it into a join of whole tables.
        """
        found = self._lookups.get(id(statement))
        if found is None:
            compiled = self.of(statement)
            keys = ", ".join(f"k{number}" for number, _ in enumerate(compiled.positions, 1))
            inner = _PARAMETER.sub(r"wanted.k\1", compiled.text)
            found = self._lookups[id(statement)] = (
                f"SELECT wanted.number, found.* FROM unnest({_arrays(compiled.types)}) "  # noqa: S608 - ours
                f"WITH ORDINALITY AS wanted ({keys}, number), LATERAL ({inner} OFFSET 0) AS found"
            )
        return found

    def _type(self, typed: Any) -> str:
        return "" if isinstance(typed.type, NullType) else str(typed.type.compile(self.dialect))

    @property
    def begin(self) -> Sequence[str]:
        """How a writing transaction begins, alone. Its savepoint is missed where the transaction was lost."""
        if self.dialect.name == "sqlite":
            return ("BEGIN IMMEDIATE", "SAVEPOINT begun")
        return ("BEGIN", "SELECT pg_advisory_xact_lock(7266011)", "SAVEPOINT begun")

    @property
    def keep_time(self) -> Insert:
        """Write the ledger's own time down."""
        return _KEEP[self.dialect.name]


def _arrays(types: Sequence[str]) -> str:
    return ", ".join(f"${number}::{name}[]" for number, name in enumerate(types, 1))


def _keep(kind: Any) -> Insert:
    wanted = kind(CLOCK).values(name=bindparam("name"), at=bindparam("at"))
    made: Insert = wanted.on_conflict_do_update(
        index_elements=[CLOCK.c.name], set_={"at": wanted.excluded.at}
    )
    return made


_KEEP: Final[Mapping[str, Insert]] = {
    "sqlite": _keep(sqlite.insert),
    "postgresql": _keep(postgresql.insert),
}
