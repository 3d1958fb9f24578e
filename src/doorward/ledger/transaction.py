"""One transaction of the writer: what operations may do, and events that extend the chain.

On PostgreSQL the whole transaction holds one lock from its first statement on: whoever has it is the only
writer, so that several brokers append to one chain without a gap, count without going over, and wait
for each other's rows in no order that could lock up.

What an operation only adds waits (see `behind`), and is dropped if the operation fails. A savepoint of the
database is made when it executes something, after everything that waited before it has been written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sqlalchemy import Executable, Table, bindparam, select

from doorward.ledger.ahead import Ahead, Key, Wanted
from doorward.ledger.behind import COLUMNS, Behind, Tally
from doorward.ledger.chain import Head, Link, link
from doorward.ledger.channel import Channel
from doorward.ledger.schema import CLOCK, COUNTERS, EPOCHS, EVENTS, Change
from doorward.ledger.statements import Compiled, Statements
from doorward.ledger.timekeeping import Pace
from doorward.telemetry.events import Event

Row = dict[str, Any]

_WINDOWS: Final = "windows"
_LAST: Final = select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1).subquery()
_STATE: Final = select(
    select(_LAST.c.seq).scalar_subquery().label("seq"),
    select(_LAST.c.hash).scalar_subquery().label("hash"),
    select(EPOCHS.c.id).order_by(EPOCHS.c.number.desc()).limit(1).scalar_subquery().label("epoch"),
    select(CLOCK.c.at).where(CLOCK.c.name == _WINDOWS).scalar_subquery().label("time"),
)
_AT: Final = select(EVENTS.c.hash).where(EVENTS.c.seq == bindparam("number"))


class Transaction:
    """What an operation may do. Everything in it becomes durable together, or never happened."""

    def __init__(self, channel: Channel, statements: Statements, pace: Pace, burst: int) -> None:
        self._channel = channel
        self._burst = burst
        self._statements = statements
        self._pace = pace
        self._behind = Behind(channel, statements)
        self._ahead = Ahead()
        self._start = Head()
        self._mark = 0
        """How many of the rows that wait were there before the operation."""
        self._open = self._saved = self._timed = False
        """Whether an operation runs, whether the database has a savepoint for it, whether time mattered."""
        self._time = 0.0
        self.tally = Tally(self._behind)
        self.now = pace.wall()
        """Seconds since the epoch by the wall clock, the same for the whole batch."""
        self.head = Head()
        self.epoch: str | None = None
        """The epoch in force."""

    @property
    def time(self) -> float:
        """The ledger's own time, the same for the whole batch; what windows are measured by."""
        self._timed = True
        return self._time

    def begin(self) -> None:
        """Start, and read the end of the chain."""
        for text in self._statements.begin:
            self._channel.tell(text)
        found = self.all(_STATE)[0]
        if found["seq"] is not None:
            self.head = Head(found["seq"], found["hash"])
        self.epoch = found["epoch"]
        self._time = self._pace.after(found["time"] or 0.0)

    def extends(self, head: Head) -> bool:
        """Whether the chain, as it is before anything is appended, goes on from there."""
        if head.seq in {0, self.head.seq}:
            return head.seq == 0 or head == self.head
        found = self.one(_AT, number=head.seq)
        return found is not None and found["hash"] == head.hash

    def read_ahead(self, wishes: Iterable[Wanted]) -> None:
        """Read what operations are going to ask for, where that saves round trips."""
        self._ahead.read(self._channel, self._statements, wishes)

    def commit(self) -> None:
        """Make everything durable."""
        self._channel.tell("RELEASE SAVEPOINT begun")
        if self._timed:
            keep = self._statements.of(self._statements.keep_time)
            self._channel.tell(keep.text, keep.parameters({"name": _WINDOWS, "at": self._time}))
        self._behind.write()
        self._channel.commit()

    def savepoint(self) -> None:
        """An operation begins here."""
        self._start, self._mark = self.head, len(self._behind)
        self._open, self._saved = True, False

    def release(self) -> None:
        """The operation is done."""
        if self._saved:
            self._channel.tell("RELEASE SAVEPOINT op")
        self._open = False
        if len(self._behind) >= self._burst and self._channel.look is not None:
            self._behind.write()
            self._channel.hurry()

    def rollback(self) -> None:
        """Undo everything that the operation did, and end it."""
        if self._saved:
            self._behind.drop(self._mark)
            self._channel.tell("ROLLBACK TO SAVEPOINT op")
            self._recount()
        else:
            self.tally.undo(self._mark)
        self.head = self._start
        self.release()

    def _recount(self) -> None:
        self.tally.forget()
        self._ahead.written([COUNTERS.name])

    def _write_behind(self, *, executing: bool) -> None:
        """Write what waits; what was there before the operation outside of its savepoint."""
        if self._open and not self._saved and (executing or len(self._behind) > self._mark):
            self._behind.write(self._mark)
            self._channel.tell("SAVEPOINT op")
            self._saved = True
        self._behind.write()
        self._mark = 0

    def _execute(self, statement: Executable) -> Compiled:
        """What has to happen before rows are changed."""
        compiled = self._statements.of(statement)
        self._write_behind(executing=True)
        self._ahead.written(compiled.tables)
        if COUNTERS.name in compiled.tables:
            self.tally.forget()
        return compiled

    def run(self, statement: Executable, /, **values: Any) -> int:
        """Execute; the number of rows that were changed."""
        compiled = self._execute(statement)
        return self._channel.count(compiled.text, compiled.parameters(values))

    def put(self, statement: Executable, /, **values: Any) -> None:
        """Execute where nobody needs to know how many rows were changed: that costs no round trip."""
        compiled = self._execute(statement)
        self._channel.tell(compiled.text, compiled.parameters(values))

    def add(self, table: Table, **row: Any) -> None:
        """Add a row with all columns that a new one has; it waits, and reaches the database with others."""
        self._behind.add(table, [row[name] for name in COLUMNS[table]])
        self._ahead.added(table, row)

    def change(self, change: Change, *only: Key, **row: Any) -> None:
        """Change one row that was read; it waits, as rows that are added do.

        `only` are the keys that reads of it name, see `Wanted`; without any, reads of the table are made
        again. The batch fails unless the row is there, and as it was read.
        """
        self._behind.add(change, [row[name] for name in change.columns])
        self._ahead.changed(change.table, only)

    def one(self, statement: Executable, /, **values: Any) -> Row | None:
        """The first row, if there is one."""
        return self.first(Wanted(statement, values))

    def first(self, wanted: Wanted) -> Row | None:
        """The first row of a read that may have been made already."""
        found = self._find(wanted)
        return found[0] if found else None

    def every(self, wanted: Wanted) -> list[Row]:
        """Every row of a read that may have been made already."""
        return self._find(wanted)

    def all(self, statement: Executable, /, **values: Any) -> list[Row]:
        """Every row."""
        return self._find(Wanted(statement, values))

    def _find(self, wanted: Wanted) -> list[Row]:
        compiled = self._statements.of(wanted.statement)
        parameters = compiled.parameters(wanted.values)
        known = self._ahead.answer(compiled, parameters)
        if known is not None:
            return known
        if self._behind.holds(self._ahead.visible(compiled, wanted.only)):
            self._write_behind(executing=False)
        return self._read(compiled, parameters)

    def _read(self, compiled: Compiled, parameters: tuple[Any, ...]) -> list[Row]:
        found = self._channel.ask(compiled.text, parameters, compiled.decoders)
        return [dict(zip(compiled.columns, row, strict=True)) for row in found]

    def append(self, event: Event, task_uid: str | None = None, **facts: Any) -> Link:
        """Write the next event."""
        added = link(self.head, event, self.now, task_uid, facts)
        self.add(
            EVENTS,
            seq=added.seq,
            at=added.at,
            event=added.event,
            task_uid=added.task_uid,
            body=added.body,
            hash=added.hash,
        )
        self.head = Head(added.seq, added.hash)
        return added


Reads = Callable[[Transaction], Iterable[Wanted]]
"""What an operation is going to read; pure."""
