"""One transaction of the writer: prepared statements, and events that extend the chain.

Statements are SQLAlchemy Core, compiled once per dialect and then run on the driver's cursor:
building the SQL again for each call costs three times what the database does.

On PostgreSQL the whole transaction holds one lock from its first statement on: whoever has it is the only
writer, so that several brokers append to one chain without a gap, count without going over, and wait
for each other's rows in no order that could lock up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Dialect, Executable, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from doorward.ledger.chain import Head, Link, link
from doorward.ledger.channel import Channel, Decoder
from doorward.ledger.schema import CLOCK, COUNTERS, EPOCHS, EVENTS
from doorward.ledger.timekeeping import Pace
from doorward.telemetry.events import Event

Row = dict[str, Any]
_DECODERS: Final[Mapping[type, Decoder]] = {str: str, int: int, float: float, bool: "t".__eq__}

_HEAD: Final = select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)
_EPOCH: Final = select(EPOCHS.c.id).order_by(EPOCHS.c.number.desc()).limit(1)
_AT: Final = select(EVENTS.c.hash).where(EVENTS.c.seq == bindparam("number"))
_APPEND: Final = insert(EVENTS)
_WINDOWS: Final = "windows"
_TIME: Final = select(CLOCK.c.at).where(CLOCK.c.name == _WINDOWS)


@dataclass(frozen=True, slots=True)
class _Compiled:
    source: Executable
    """Kept, so that nothing else gets its id."""
    text: str
    positions: Sequence[str]
    """Parameters in order."""
    constants: Mapping[str, Any]
    """Values that are written into the statement."""
    columns: Sequence[str]
    decoders: Sequence[Decoder]
    """What makes a value out of each column's text."""

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        merged = {**self.constants, **values} if self.constants else values
        return tuple([merged[name] for name in self.positions])


DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(paramstyle="numeric_dollar"),  # type: ignore[no-untyped-call]
}
"""As `Channel` takes its parameters."""


class Statements:
    """The compiled form of each statement for one dialect."""

    def __init__(self, name: str) -> None:
        self.dialect = DIALECTS[name]
        self._compiled: dict[int, _Compiled] = {}

    def of(self, statement: Executable) -> _Compiled:
        """The compiled statement, from the second time on without any work."""
        found = self._compiled.get(id(statement))
        if found is None:
            found = self._compiled[id(statement)] = self._compile(statement)
        return found

    def _compile(self, statement: Executable) -> _Compiled:
        compiled: Any = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        columns = tuple(getattr(statement, "selected_columns", ()))
        return _Compiled(
            source=statement,
            text=str(compiled),
            positions=compiled.positiontup or (),
            constants={name: value for name, value in compiled.params.items() if value is not None},
            columns=tuple(column.key for column in columns),
            decoders=tuple(_DECODERS[column.type.python_type] for column in columns),
        )

    @property
    def begin(self) -> Sequence[str]:
        """How a writing transaction begins, alone."""
        if self.dialect.name == "sqlite":
            return ("BEGIN IMMEDIATE",)
        return ("BEGIN", "SELECT pg_advisory_xact_lock(7266011)")

    @property
    def keep_time(self) -> Insert:
        """Write the ledger's own time down."""
        return _KEEP[self.dialect.name]

    @property
    def touch_counter(self) -> Insert:
        """Insert a counter at zero unless it exists."""
        return _TOUCH[self.dialect.name]


class Transaction:
    """What an operation may do. Everything in it becomes durable together, or never happened."""

    def __init__(self, channel: Channel, statements: Statements, pace: Pace) -> None:
        self._channel = channel
        self._statements = statements
        self._pace = pace
        self._time: float | None = None
        self.now = pace.wall()
        """Seconds since the epoch by the wall clock, the same for the whole batch."""
        self.head = Head()
        self.epoch: str | None = None
        """The epoch in force."""

    @property
    def time(self) -> float:
        """The ledger's own time, the same for the whole batch; what windows are measured by."""
        if self._time is None:
            found = self.one(_TIME)
            self._time = self._pace.after(found["at"] if found else 0.0)
            self.put(self._statements.keep_time, name=_WINDOWS, at=self._time)
        return self._time

    def begin(self) -> None:
        """Start, and read the end of the chain."""
        for text in self._statements.begin:
            self._channel.tell(text)
        found = self.one(_HEAD)
        self.head = Head(found["seq"], found["hash"]) if found else Head()
        begun = self.one(_EPOCH)
        self.epoch = begun["id"] if begun else None

    def extends(self, head: Head) -> bool:
        """Whether the chain, as it is before anything is appended, goes on from there."""
        if head.seq in {0, self.head.seq}:
            return head.seq == 0 or head == self.head
        found = self.one(_AT, number=head.seq)
        return found is not None and found["hash"] == head.hash

    @property
    def exact(self) -> bool:
        """See `Channel`."""
        return self._channel.exact

    def commit(self) -> None:
        """Make everything durable."""
        self._channel.commit()

    def savepoint(self) -> Head:
        """Mark a place to come back to; `rollback_to` needs the returned head."""
        self._channel.tell("SAVEPOINT op")
        return self.head

    def release(self) -> None:
        """Forget the last mark."""
        self._channel.tell("RELEASE SAVEPOINT op")

    def rollback_to(self, head: Head) -> None:
        """Undo everything since the last mark, and forget it."""
        self._channel.tell("ROLLBACK TO SAVEPOINT op")
        self.release()
        self.head = head
        self._time = None  # it may have been written since the mark

    def run(self, statement: Executable, /, **values: Any) -> int:
        """Execute; the number of rows that were changed."""
        compiled = self._statements.of(statement)
        return self._channel.count(compiled.text, compiled.parameters(values))

    def put(self, statement: Executable, /, **values: Any) -> None:
        """Execute where nobody needs to know how many rows were changed: that costs no round trip."""
        compiled = self._statements.of(statement)
        self._channel.tell(compiled.text, compiled.parameters(values))

    def one(self, statement: Executable, /, **values: Any) -> Row | None:
        """The first row, if there is one."""
        found = self.all(statement, **values)
        return found[0] if found else None

    def all(self, statement: Executable, /, **values: Any) -> list[Row]:
        """Every row."""
        compiled = self._statements.of(statement)
        found = self._channel.ask(compiled.text, compiled.parameters(values), compiled.decoders)
        return [dict(zip(compiled.columns, row, strict=True)) for row in found]

    def touch_counter(self, **values: Any) -> None:
        """Make sure that the counter exists."""
        self.put(self._statements.touch_counter, **values)

    def append(self, event: Event, task_uid: str | None = None, **facts: Any) -> Link:
        """Write the next event."""
        added = link(self.head, event, self.now, task_uid, facts)
        self.put(
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
