"""Reads that operations will make, made for a whole batch at once.

Where an answer costs a round trip, a batch needs two of them instead of one for each read. Nobody else
writes while the transaction runs, so an answer stays true until the transaction itself writes a table
that the statement names. When in doubt the answer is thrown away, and the operation reads for itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Executable, Table

from doorward.ledger.channel import Channel, Question, Values
from doorward.ledger.statements import Compiled, Statements

Row = dict[str, Any]
Parameters = tuple[Any, ...]
Key = tuple[str, ...]
"""A table, and what tells rows of it from others: values in `_KEYS`, or what else they are looked up by."""
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "decisions": ("session", "request"),
    "capabilities": ("jti",),
    "proofs": ("thumbprint", "nonce"),
}
"""What rows are looked up by in tables to which every operation adds some."""


class Wanted(NamedTuple):
    """A read that an operation will make."""

    statement: Executable
    values: Mapping[str, Any]
    only: tuple[Key, ...] = ()
    """Of these tables, the only rows that can change the answer when they are added or changed."""


@dataclass(frozen=True, slots=True)
class _Group:
    """One statement for many keys."""

    compiled: Compiled
    keys: dict[Parameters, tuple[Values, tuple[Key, ...]]]


class Ahead:
    """The answers, and what has been written since they were read."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, Parameters], tuple[list[Row], tuple[Key, ...]]] = {}
        self._written: set[str] = set()
        self._grown: set[str] = set()
        self._keys: set[Key] = set()

    def read(self, channel: Channel, statements: Statements, wishes: Iterable[Wanted]) -> None:
        """Ask everything in one round trip; nothing where there are none."""
        look = channel.look
        if look is None or not (groups := _groups(channel, statements, wishes)):
            return
        questions = [
            Question(
                statements.lookup(group.compiled.source),
                [values for values, _ in group.keys.values()],
                (int, *group.compiled.decoders),
            )
            for group in groups
        ]
        for group, found in zip(groups, look(questions), strict=True):
            self._keep(group, found)

    def _keep(self, group: _Group, found: Iterable[Values]) -> None:
        rows: list[list[Row]] = [[] for _ in group.keys]
        for number, *values in found:
            rows[number - 1].append(dict(zip(group.compiled.columns, values, strict=True)))
        for (parameters, (_, only)), mine in zip(group.keys.items(), rows, strict=True):
            self._answers[id(group.compiled), parameters] = mine, only

    def answer(self, compiled: Compiled, parameters: Parameters) -> list[Row] | None:
        """The rows, if they were read and nothing can have changed them; the caller's own."""
        found = self._answers.get((id(compiled), parameters))
        if found is None or not self._written.isdisjoint(compiled.tables):
            return None
        rows, only = found
        if not self._grown.isdisjoint(self.visible(compiled, only)):
            return None
        return [dict(row) for row in rows]

    def visible(self, compiled: Compiled, only: tuple[Key, ...]) -> frozenset[str]:
        """The tables in which a row that was added or changed may change the answer of this read."""
        known = {key[0] for key in only if key not in self._keys}
        return compiled.tables - (known - self._written)

    def written(self, tables: Collection[str]) -> None:
        """Rows of these tables were changed, it is not known which."""
        self._written.update(tables)

    def added(self, table: Table, row: Mapping[str, Any]) -> None:
        """One row was added."""
        self._grown.add(table.name)
        if key := _KEYS.get(table.name):
            self._keys.add((table.name, *(row[name] for name in key)))

    def changed(self, table: Table, only: Collection[Key]) -> None:
        """One row was changed: who looks for it does so by one of these keys. Without any, nobody knows."""
        (self._grown if only else self._written).add(table.name)
        self._keys.update(only)


def _groups(channel: Channel, statements: Statements, wishes: Iterable[Wanted]) -> list[_Group]:
    groups: dict[int, _Group] = {}
    for wish in wishes:
        compiled = statements.of(wish.statement)
        parameters = compiled.parameters(wish.values)
        try:
            values = channel.row(parameters)
        except ValueError:
            continue  # the operation that wants it meets the same error, and it alone
        groups.setdefault(id(compiled), _Group(compiled, {})).keys[parameters] = values, wish.only
    return list(groups.values())
