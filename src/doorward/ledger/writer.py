"""The one writer: everything that waits is committed in one transaction.

Nobody's future resolves before the commit has returned, and a commit that fails resolves all of them
with `unavailable`: no ledger, no yes. One failing operation takes nothing with it: what it did is undone
by itself, and where it is not known whose row broke a constraint, each gets a transaction. Grouping
matters more than the engine: an fsync costs the same for one as for a hundred.

Whether a commit that broke was kept is not known: nobody gets a yes for it. A database that is not the
one that was written before, because its file was replaced, it was set back, or another broker began a
new epoch, is `lost` for this process: it has to start again, which is when that is judged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import Engine

from doorward.errors import Code, Refusal
from doorward.ledger import store
from doorward.ledger.ahead import Wanted
from doorward.ledger.behind import UnplacedError
from doorward.ledger.chain import Head
from doorward.ledger.channel import Channel
from doorward.ledger.channel import channel as open_channel
from doorward.ledger.lanes import Lanes, room
from doorward.ledger.statements import Statements
from doorward.ledger.timekeeping import Pace
from doorward.ledger.transaction import Reads, Transaction

T = TypeVar("T")
Operation = Callable[[Transaction], T]
Result = tuple[Any, BaseException | None]

MAX_BATCH: Final = 256
BURST: Final = 128
"""Rows that are sent while operations still run: a server writes them meanwhile. Fewer cost it more."""
_OURS: Final = "an error of ours; it is in the log"
_LOG: Final = logging.getLogger("doorward.ledger")


class Observer(Protocol):
    """Told about each batch."""

    def committed(self, seconds: float, size: int) -> None:
        """A batch of `size` operations took `seconds`, its commit included."""

    def failed(self) -> None:
        """A batch was lost, and every caller in it was told `unavailable`."""


class Quiet:
    """An observer that does not care."""

    def committed(self, seconds: float, size: int) -> None:
        """Nothing."""

    def failed(self) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    operation: Operation[T]
    reads: Reads | None
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop


class LostError(Exception):
    """The database is not the one that was written before."""


class Writer:
    """A thread with the only writing connection of this process."""

    def __init__(
        self,
        engine: Engine,
        pace: Pace,
        observer: Observer | None = None,
        max_batch: int = MAX_BATCH,
        burst: int = BURST,
    ) -> None:
        self._engine = engine
        self._burst = burst
        self._max_batch = max_batch
        self._statements = Statements(engine.dialect.name)
        self._driver: Any = engine.dialect.loaded_dbapi
        self._somebodys = (self._driver.IntegrityError, self._driver.DataError, UnplacedError)
        """Errors of one operation, and it is not known which: rows wait, and answers come late."""
        self._pace = pace
        self._observer = observer or Quiet()
        self._queue: Lanes[_Waiting[Any] | None] = Lanes()
        self._waiting = 0
        self._connection: Any = None
        self._channel: Channel | None = None
        self._fresh = True
        self._head = Head()
        self._file = store.file_of(engine)
        self._inode = store.inode(self._file) if self._file else None
        self._closed = False
        self.healthy = True
        """Whether the last batch was committed."""
        self.lost: str | None = None
        """Why nothing is written any more until the process starts again."""
        self.epoch: str | None = None
        """The epoch that this process serves; None while it is not established."""
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(
        self, operation: Operation[T], *, vital: bool = False, reads: Reads | None = None
    ) -> asyncio.Future[T]:
        """Run `operation` in the next transaction; resolved once it is durable. A vital one goes first.

        What it `reads` may be read for the whole batch at once. The future raises what the operation
        raised, or `Refusal(unavailable)`. Cancelling it does not undo anything: the operation may be
        committed already.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closed or self._waiting >= room(vital=vital):
            future.set_exception(unavailable("the ledger takes no more requests"))
            return future
        self._waiting += 1
        self._queue.put(_Waiting(operation, reads, future, loop), vital=vital)
        return future

    def close(self) -> None:
        """Commit what waits, then end the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        running = True
        while running:
            batch, running = self._take()
            if batch:
                self._resolve(batch, self._commit(batch))
        self._disconnect()

    def _take(self) -> tuple[list[_Waiting[Any]], bool]:
        batch: list[_Waiting[Any]] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= self._max_batch or self._queue.empty():
                return batch, True
            item = self._queue.get()
        return batch, False

    def _commit(self, batch: Sequence[_Waiting[Any]]) -> list[Result]:
        started = time.perf_counter()
        try:
            transaction = self._begin()
            transaction.read_ahead(_wishes(transaction, batch))
            results = [self._attempt(transaction, item.operation) for item in batch]
            transaction.commit()
            self._check_file()
        except self._somebodys:
            self._disconnect()
            return self._one_by_one(batch)
        except Exception as error:  # noqa: BLE001 - whatever broke, nobody in the batch gets a yes
            self._broken(error, len(batch))
            return [(None, unavailable("the ledger cannot be written"))] * len(batch)
        self._head = transaction.head
        self.healthy = True
        self._observer.committed(time.perf_counter() - started, len(batch))
        return results

    def _one_by_one(self, batch: Sequence[_Waiting[Any]]) -> list[Result]:
        """A row was refused, and it is not known whose it was."""
        if len(batch) == 1:
            _LOG.exception("an operation of the ledger failed")
            return [(None, unavailable(_OURS))]
        return [self._commit([item])[0] for item in batch]

    def _broken(self, error: Exception, size: int) -> None:
        if isinstance(error, LostError):
            self.lost = str(error)
        _LOG.error("a batch of %d was not committed", size, exc_info=error)
        self._disconnect()
        self.healthy = False
        self._observer.failed()

    def _begin(self) -> Transaction:
        """A transaction that goes on from what was committed last.

        A connection may have died while nobody used it, or be one to a disk that was read-only: before
        anything was done, a new one costs nothing.
        """
        if self.lost is not None:
            raise LostError(self.lost)
        try:
            transaction = self._try_begin()
        except self._driver.Error:
            if self._fresh:
                raise
            self._disconnect()
            transaction = self._try_begin()
        if not transaction.extends(self._head):
            raise LostError("the ledger was set back while it was in use")
        if self.epoch not in {None, transaction.epoch}:
            raise LostError("another broker began a new epoch of the ledger")
        return transaction

    def _try_begin(self) -> Transaction:
        self._fresh = self._channel is None
        transaction = Transaction(self._connect(), self._statements, self._pace, self._burst)
        transaction.begin()
        return transaction

    def _check_file(self) -> None:
        """An SQLite file that was removed or replaced can be written for ever, and nobody will read it."""
        if self._file is not None and store.inode(self._file) != self._inode:
            raise LostError("the file of the ledger was removed or replaced")

    def _attempt(self, transaction: Transaction, operation: Operation[Any]) -> Result:
        """Run one operation; what it did is undone if it fails.

        An error of the database ends the batch: what the transaction still holds is not known then.
        """
        transaction.savepoint()
        try:
            value = operation(transaction)
        except Refusal as refusal:
            transaction.rollback()
            return None, refusal
        except (self._driver.Error, UnplacedError):
            raise
        except Exception:  # noqa: BLE001 - whatever it was, it is this operation's alone
            _LOG.exception("an operation of the ledger failed")
            transaction.rollback()
            return None, unavailable(_OURS)
        transaction.release()
        return value, None

    def _connect(self) -> Channel:
        if self._channel is None:
            self._check_file()
            self._connection = self._engine.raw_connection()
            self._channel = open_channel(self._engine.dialect.name, self._connection)
        return self._channel

    def _disconnect(self) -> None:
        """Drop the connection, and with it whatever was not committed; the next batch gets a new one."""
        connection, self._connection = self._connection, None
        channel, self._channel = self._channel, None
        if connection is None:
            return
        try:
            if channel is not None:
                channel.close()
            connection.invalidate()
        except Exception:  # noqa: BLE001 - it is gone either way
            _LOG.warning("the ledger's connection did not close cleanly")

    def _resolve(self, batch: Sequence[_Waiting[Any]], results: Sequence[Result]) -> None:
        loops = {item.loop for item in batch}
        for loop in loops:
            mine = [
                (item.future, result)
                for item, result in zip(batch, results, strict=True)
                if item.loop is loop
            ]
            try:
                loop.call_soon_threadsafe(self._settle, mine)
            except RuntimeError:
                _LOG.info("%d callers left before they were answered", len(mine))

    def _settle(self, settled: Sequence[tuple[asyncio.Future[Any], Result]]) -> None:
        self._waiting -= len(settled)
        for future, (value, error) in settled:
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


def _wishes(transaction: Transaction, batch: Sequence[_Waiting[Any]]) -> Iterator[Wanted]:
    for item in batch:
        if item.reads is None:
            continue
        try:
            yield from item.reads(transaction)
        except Exception:  # noqa: BLE001 - the operation meets it again, alone
            _LOG.exception("what an operation is going to read is not known")


def unavailable(detail: str) -> Refusal:
    """The no that stands for "not written down"."""
    return Refusal(Code.UNAVAILABLE, detail, ask="try again")
