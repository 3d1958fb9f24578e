"""How statements reach the database: one after the other, or in a pipeline.

A round trip costs more than most statements do. On PostgreSQL nobody waits for what has no answer that
matters: such statements travel together with the next one that has. The pipeline is libpq's own, below
the driver's cursors: those forget every prepared statement at each rollback to a savepoint, and cost
more for a statement than the server does.
"""

from __future__ import annotations

import selectors
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from psycopg import OperationalError, errors, pq

Values = Sequence[Any]
Decoder = Callable[[str], Any]

PATIENCE_SECONDS: Final = 25.0
"""How long an answer may take; the server gives up a statement before."""
_BY_KEY: Final = tuple(
    f"SET {way} = off" for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
"""A plan is made while tables are small and is kept: it has to be the one for when they are large."""
_CUT: Final = "a text with a NUL cannot be stored"  # libpq would cut it there
_OTHERS: Final = "what was read is not what is changed"
_GOOD: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})


class Channel(Protocol):
    """The way to the database of one connection."""

    def tell(self, text: str, values: Values = ()) -> None:
        """Execute, at the latest before the next answer."""

    def ask(self, text: str, values: Values = (), decoders: Sequence[Decoder] = (), /) -> list[Values]:
        """Execute; all rows. Raises also what an earlier `tell` met."""

    def count(self, text: str, values: Values = ()) -> int:
        """Execute; how many rows were changed. Raises also what an earlier `tell` met."""

    def row(self, values: Values) -> Values:
        """The form in which a row waits for `fill` or `look`. Raises `ValueError` for what has none."""

    def fill(self, text: str, rows: Sequence[Values], *, exactly: bool = False) -> None:
        """Write rows with a statement for many of them, at the latest before the next answer.

        Where `exactly` so many have to be written, others are an `IntegrityError` of the driver, then or now.
        """

    @property
    def look(self) -> Looking | None:
        """Asks everything at once; None where an answer costs no round trip, so that nothing is gained."""

    def hurry(self) -> None:
        """Let whoever executes begin with what was told. No answer is waited for."""

    def commit(self) -> None:
        """Make everything durable; raises unless it is."""

    def close(self) -> None:
        """Let go of the transaction, if there is one."""


@dataclass(frozen=True, slots=True)
class Question:
    """One statement that `Statements.lookup` gives, for many keys."""

    text: str
    keys: Sequence[Values]
    decoders: Sequence[Decoder]


Looking = Callable[[Sequence[Question]], list[list[Values]]]
"""Asks everything at once; all rows of each."""


class Direct:
    """Each statement by itself: SQLite has no round trips."""

    look = None

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()

    def tell(self, text: str, values: Values = ()) -> None:
        """See `Channel`."""
        self._cursor.execute(text, values)

    def ask(self, text: str, values: Values = (), _: Sequence[Decoder] = (), /) -> list[Values]:
        """See `Channel`; the driver gives values of the right type by itself."""
        found: list[Values] = self._cursor.execute(text, values).fetchall()
        return found

    def count(self, text: str, values: Values = ()) -> int:
        """See `Channel`."""
        return int(self._cursor.execute(text, values).rowcount)

    def row(self, values: Values) -> Values:
        """See `Channel`; what the driver refuses, it refuses when the row is written."""
        return values

    def fill(self, text: str, rows: Sequence[Values], *, exactly: bool = False) -> None:
        """See `Channel`."""
        if self._cursor.executemany(text, rows).rowcount != len(rows) and exactly:
            raise sqlite3.IntegrityError(_OTHERS)

    def hurry(self) -> None:
        """See `Channel`; nothing is ever under way."""

    def commit(self) -> None:
        """See `Channel`."""
        self._cursor.execute("COMMIT")

    def close(self) -> None:
        """See `Channel`. A closed connection keeps its lock as long as anybody refers to its cursor."""
        self._cursor.connection.rollback()
        self._cursor.close()


class Pipeline:
    """Statements of PostgreSQL, prepared once per connection, answered when somebody asks."""

    def __init__(self, connection: Any) -> None:
        for text in _BY_KEY:
            connection.execute(text)
        self._wire: pq.abc.PGconn = connection.pgconn
        self._wire.enter_pipeline_mode()
        self._names: dict[str, bytes] = {}
        self._unanswered = 0
        self._exactly: dict[int, int] = {}
        """How many rows the answer of this number has to speak of."""
        self._socket = selectors.DefaultSelector()
        self._socket.register(self._wire.socket, selectors.EVENT_READ)

    def tell(self, text: str, values: Values = ()) -> None:
        """See `Channel`."""
        self._send_query(text, [_encode(value) for value in values])

    def ask(self, text: str, values: Values = (), decoders: Sequence[Decoder] = (), /) -> list[Values]:
        """See `Channel`."""
        self.tell(text, values)
        self._wire.send_flush_request()
        return _rows(self._answers()[-1], decoders)

    def count(self, text: str, values: Values = ()) -> int:
        """See `Channel`."""
        self.tell(text, values)
        self._wire.send_flush_request()
        return self._answers()[-1].command_tuples or 0

    def row(self, values: Values) -> Values:
        """See `Channel`: what libpq would cut or no server take is refused before it stands beside others."""
        text = "".join([value for value in values if isinstance(value, str)])
        if "\0" in text:
            raise ValueError(_CUT)
        text.encode()
        return values

    def fill(self, text: str, rows: Sequence[Values], *, exactly: bool = False) -> None:
        """See `Channel`."""
        self._send_query(text, _arrays(rows))
        if exactly:
            self._exactly[self._unanswered] = len(rows)

    def look(self, questions: Sequence[Question]) -> list[list[Values]]:
        """See `Channel`."""
        for asked in questions:
            self._name(asked.text)  # all of them before: preparing has an answer too
        for asked in questions:
            self._send_query(asked.text, _arrays(asked.keys))
        self._wire.send_flush_request()
        answers = self._answers()[-len(questions) :]
        return [_rows(found, asked.decoders) for found, asked in zip(answers, questions, strict=True)]

    def hurry(self) -> None:
        """See `Channel`; what the socket does not take at once goes with the next question."""
        self._wire.flush()

    def commit(self) -> None:
        """See `Channel`."""
        if self._exactly:  # the server does not know: it would keep what is wrong
            self._wire.send_flush_request()
            self._answers()
        self.tell("COMMIT")
        self._wire.pipeline_sync()
        said = self._answers()[-1].command_status
        if said != b"COMMIT":  # a transaction that had failed is rolled back by the same word, and no error
            msg = f"the server answered COMMIT with {said!r}"
            raise OperationalError(msg)
        self._next(pq.ExecStatus.PIPELINE_SYNC)

    def close(self) -> None:
        """See `Channel`; the server does when the connection ends."""
        self._socket.close()

    def _send_query(self, text: str, encoded: Sequence[bytes | None]) -> None:
        self._wire.send_query_prepared(self._name(text), encoded)
        self._unanswered += 1

    def _name(self, text: str) -> bytes:
        """The name of a statement, which is prepared the first time."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = b"doorward_%d" % len(self._names)
            self._wire.send_prepare(name, text.encode())
            self._unanswered += 1
        return name

    def _answers(self) -> list[pq.abc.PGresult]:
        """Wait for everything that is under way; every answer in order."""
        self._send()
        answers: list[pq.abc.PGresult] = []
        while True:
            found = self._result()
            if found is None or found.status not in _GOOD:
                raise _error(found)
            if self._result() is not None:
                msg = "more than one answer to one statement"
                raise OperationalError(msg)
            answers.append(found)
            if self._exactly.pop(len(answers), found.command_tuples) != found.command_tuples:
                raise errors.IntegrityError(_OTHERS)
            if len(answers) == self._unanswered:
                self._unanswered = 0
                return answers

    def _next(self, status: pq.ExecStatus) -> None:
        found = self._result()
        if found is None or found.status != status:
            raise _error(found)

    def _send(self) -> None:
        while self._wire.flush():
            self._wait(selectors.EVENT_READ | selectors.EVENT_WRITE)
            self._wire.consume_input()

    def _result(self) -> pq.abc.PGresult | None:
        while self._wire.is_busy():
            self._wait(selectors.EVENT_READ)
            self._wire.consume_input()
        return self._wire.get_result()

    def _wait(self, what: int) -> None:
        """Outside of libpq, which would keep every other thread from running."""
        self._socket.modify(self._wire.socket, what)
        if not self._socket.select(PATIENCE_SECONDS):
            msg = f"no answer from the server in {PATIENCE_SECONDS:.0f} s"
            raise OperationalError(msg)


def channel(dialect: str, connection: Any) -> Channel:
    """A channel over a connection of SQLAlchemy's."""
    driver = connection.driver_connection
    return Direct(driver) if dialect == "sqlite" else Pipeline(driver)


def _encode(value: Any) -> bytes | None:
    return None if value is None else _text(value).encode()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value)
    if "\0" in value:
        raise ValueError(_CUT)
    return value


def _arrays(rows: Sequence[Values]) -> list[bytes | None]:
    """One array for each column."""
    return [f"{{{_elements(column)}}}".encode() for column in zip(*rows, strict=True)]


def _elements(column: Sequence[Any]) -> str:
    """What stands between the braces. A column of one kind, as most are, is written at once."""
    kinds = set(map(type, column))
    if kinds <= {int, float}:
        return ",".join(map(repr, column))
    if kinds == {str}:
        quoted = _escaped("\0".join(column)).replace("\0", '","')
        return f'"{quoted}"'
    return ",".join(["NULL" if value is None else f'"{_escaped(_text(value))}"' for value in column])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text


def _rows(found: pq.abc.PGresult, decoders: Sequence[Decoder]) -> list[Values]:
    return [_row(found, number, decoders) for number in range(found.ntuples)]


def _row(found: pq.abc.PGresult, number: int, decoders: Sequence[Decoder]) -> Values:
    cells = (found.get_value(number, column) for column in range(len(decoders)))
    return [
        None if cell is None else decode(cell.decode()) for cell, decode in zip(cells, decoders, strict=True)
    ]


def _error(found: pq.abc.PGresult | None) -> Exception:
    """The driver's own exception for what the server said."""
    if found is None:
        return OperationalError("the connection gave no answer")
    state = (found.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    said = (found.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"no reason given").decode(
        "utf-8", "replace"
    )
    try:
        return errors.lookup(state)(said)
    except KeyError:
        return OperationalError(said)
