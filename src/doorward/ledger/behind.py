"""Rows that wait: nobody reads them back one by one, so they reach the database together.

One statement a table instead of one a row, for new rows and for what changes in rows that were read. A
transaction writes them before it commits, and before anything is executed that could see them; what an
operation added is taken out again if it fails.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Table

from doorward.ledger.channel import Channel, Values
from doorward.ledger.schema import (
    CAPABILITIES,
    COUNTERS,
    DECISIONS,
    EVENTS,
    PROOFS,
    RESERVATIONS,
    SETTLED,
    SPENT,
    TOLD,
    Change,
    fresh,
)
from doorward.ledger.statements import Statements

_TABLES: Final = (EVENTS, DECISIONS, CAPABILITIES, RESERVATIONS, PROOFS, COUNTERS)
_ORDER: Final[tuple[Table | Change, ...]] = (*_TABLES, SPENT, TOLD, SETTLED)
"""What others refer to comes first, and what was there before it is changed. Nothing else waits."""
COLUMNS: Final = {table: tuple(column.name for column in fresh(table)) for table in _TABLES}


class UnplacedError(Exception):
    """A row that waited cannot be written, and whose it was is not known."""


class Behind:
    """What waits, in the order in which it was added."""

    def __init__(self, channel: Channel, statements: Statements) -> None:
        self._channel = channel
        self._statements = statements
        self._rows: list[tuple[Table | Change, Values]] = []
        self._names: set[str] = set()
        """Of the tables."""

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, kind: Table | Change, values: Values) -> None:
        """One more row. Raises `ValueError` for a value that cannot be stored."""
        waiting = values if kind is COUNTERS else self._channel.row(values)  # counters are added up first
        self._rows.append((kind, waiting))
        self._names.add(kind.table.name if isinstance(kind, Change) else kind.name)

    def holds(self, tables: Collection[str]) -> bool:
        """Whether rows of one of these tables may wait."""
        return bool(self._rows) and not self._names.isdisjoint(tables)

    def drop(self, mark: int) -> list[tuple[Table | Change, Values]]:
        """Take out again what was added since there were `mark` rows; that."""
        dropped = self._rows[mark:]
        del self._rows[mark:]
        if not self._rows:
            self._names.clear()
        return dropped

    def write(self, most: int | None = None) -> None:
        """Write the first `most` rows, or all. Raises what the database says, or `UnplacedError`."""
        groups: dict[str, list[Values]] = {}
        for kind, values in self._rows[:most]:
            groups.setdefault(kind.name, []).append(values)
        del self._rows[:most]
        if not self._rows:
            self._names.clear()
        try:
            for kind in _ORDER:
                if found := groups.get(kind.name):
                    self._send(kind, found)
        except (ValueError, ArithmeticError) as error:
            raise UnplacedError from error

    def _send(self, kind: Table | Change, rows: list[Values]) -> None:
        if isinstance(kind, Change):
            self._channel.fill(self._statements.changing(kind), rows, exactly=True)
        else:
            found = self._added_up(rows) if kind is COUNTERS else rows
            self._channel.fill(self._statements.filling(kind), found)

    def _added_up(self, rows: list[Values]) -> list[Values]:
        """One row for each place of a counter: a statement may touch each only once."""
        places: dict[tuple[Any, ...], list[Any]] = {}
        for key, window, bucket, amount, expires_at in rows:
            places.setdefault((key, window, bucket), [0, expires_at])[0] += amount
        return [self._channel.row((*place, *found)) for place, found in sorted(places.items())]


class Tally:
    """What is taken of counters, as this transaction sees it.

    Its transaction is the only one that writes, and its time stands still: what was read once stays
    true but for what is taken through here, and that waits.
    """

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._taken: dict[tuple[str, int], int] = {}

    def known(self, key: str, window: int) -> int | None:
        """What is taken; None while it has to be read. Nothing of it waits then."""
        return self._taken.get((key, window))

    def learn(self, key: str, window: int, taken: int) -> None:
        """What was read."""
        self._taken[key, window] = taken

    def take(self, key: str, window: int, bucket: int, amount: int, expires_at: int | None) -> None:
        """Take of a counter that is known."""
        self._taken[key, window] += amount
        self._behind.add(COUNTERS, (key, window, bucket, amount, expires_at))

    def undo(self, mark: int) -> None:
        """Give back what was taken since so many rows waited, and drop every such row."""
        for kind, values in self._behind.drop(mark):
            if kind is COUNTERS:
                key, window, _, amount, _ = values
                self._taken[key, window] -= amount

    def forget(self) -> None:
        """Counters were written otherwise: read again. Only while none waits."""
        self._taken.clear()
