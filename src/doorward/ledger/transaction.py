"""One transaction of the writer: prepared statements, and events that extend the chain.

Statements are SQLAlchemy Core, compiled once per dialect and then run on the driver's cursor:
building the SQL again for each call costs three times what the database does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Dialect, Executable, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from doorward.ledger.chain import Head, Link, link
from doorward.ledger.schema import COUNTERS, EVENTS
from doorward.telemetry.events import Event

Row = dict[str, Any]

_HEAD: Final = select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)
_APPEND: Final = insert(EVENTS)


@dataclass(frozen=True, slots=True)
class _Compiled:
    source: Executable
    """Kept, so that nothing else gets its id."""
    text: str
    positions: Sequence[str] | None
    """Parameters in order; None where the driver takes them by name."""
    constants: Mapping[str, Any]
    """Values that are written into the statement."""
    columns: Sequence[str]

    def parameters(self, values: Mapping[str, Any]) -> Any:
        merged = {**self.constants, **values} if self.constants else values
        return merged if self.positions is None else tuple(merged[name] for name in self.positions)


class Statements:
    """The compiled form of each statement for one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._compiled: dict[int, _Compiled] = {}

    def of(self, statement: Executable) -> _Compiled:
        """The compiled statement, from the second time on without any work."""
        found = self._compiled.get(id(statement))
        if found is None:
            found = self._compiled[id(statement)] = self._compile(statement)
        return found

    def _compile(self, statement: Executable) -> _Compiled:
        compiled: Any = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        return _Compiled(
            source=statement,
            text=str(compiled),
            positions=compiled.positiontup,
            constants={name: value for name, value in compiled.params.items() if value is not None},
            columns=tuple(column.key for column in getattr(statement, "selected_columns", ())),
        )

    @property
    def begin(self) -> Sequence[str]:
        """How a writing transaction begins, alone."""
        if self.dialect.name == "sqlite":
            return ("BEGIN IMMEDIATE",)
        return ("BEGIN", "SELECT pg_advisory_xact_lock(7266011)")

    @property
    def touch_counter(self) -> Insert:
        """Insert a counter at zero unless it exists."""
        return _TOUCH[self.dialect.name]


class Transaction:
    """What an operation may do. Everything in it becomes durable together, or never happened."""

    def __init__(self, cursor: Any, statements: Statements, now: float) -> None:
        self._cursor = cursor
        self._statements = statements
        self.now = now
        """Seconds since the epoch, the same for the whole batch."""
        self.head = Head()

    def begin(self) -> None:
        """Start, and read the end of the chain."""
        for text in self._statements.begin:
            self._cursor.execute(text)
        found = self.one(_HEAD)
        self.head = Head(found["seq"], found["hash"]) if found else Head()

    def commit(self) -> None:
        """Make everything durable."""
        self._cursor.execute("COMMIT")

    def savepoint(self) -> Head:
        """Mark a place to come back to; `rollback_to` needs the returned head."""
        self._cursor.execute("SAVEPOINT op")
        return self.head

    def release(self) -> None:
        """Forget the last mark."""
        self._cursor.execute("RELEASE SAVEPOINT op")

    def rollback_to(self, head: Head) -> None:
        """Undo everything since the last mark, and forget it."""
        self._cursor.execute("ROLLBACK TO SAVEPOINT op")
        self.release()
        self.head = head

    def run(self, statement: Executable, /, **values: Any) -> int:
        """Execute; the number of rows that were changed."""
        self._execute(statement, values)
        return int(self._cursor.rowcount)

    def one(self, statement: Executable, /, **values: Any) -> Row | None:
        """The first row, if there is one."""
        names = self._execute(statement, values)
        row = self._cursor.fetchone()
        return None if row is None else dict(zip(names, row, strict=True))

    def all(self, statement: Executable, /, **values: Any) -> list[Row]:
        """Every row."""
        names = self._execute(statement, values)
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]

    def touch_counter(self, **values: Any) -> None:
        """Make sure that the counter exists."""
        self.run(self._statements.touch_counter, **values)

    def append(self, event: Event, task_uid: str | None = None, **facts: Any) -> Link:
        """Write the next event."""
        added = link(self.head, event, self.now, task_uid, facts)
        self.run(
            _APPEND,
            seq=added.seq,
            at=added.at,
            event=added.event,
            task_uid=added.task_uid,
            body=added.body,
            hash=added.hash,
        )
        self.head = Head(added.seq, added.hash)
        return added

    def _execute(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[str]:
        compiled = self._statements.of(statement)
        self._cursor.execute(compiled.text, compiled.parameters(values))
        return compiled.columns


def _touch(kind: Any) -> Insert:
    values: dict[str, Any] = {
        column.name: bindparam(column.name) for column in COUNTERS.columns if column.name != "used"
    }
    made: Insert = kind(COUNTERS).values(**values, used=0).on_conflict_do_nothing()
    return made


_TOUCH: Final[Mapping[str, Insert]] = {
    "sqlite": _touch(sqlite.insert),
    "postgresql": _touch(postgresql.insert),
}
