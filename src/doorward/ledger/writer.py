"""The one writer: everything that waits is committed in one transaction, a savepoint each.

Nobody's future resolves before the commit has returned, and a commit that fails resolves all of them
with `unavailable`: no ledger, no yes. A savepoint each means that one failing operation takes nothing
with it. Grouping matters more than the engine: an fsync costs the same for one as for a hundred.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import Engine

from doorward.core.clock import Clock
from doorward.errors import Code, Refusal
from doorward.ledger.transaction import Statements, Transaction

T = TypeVar("T")
Operation = Callable[[Transaction], T]
Result = tuple[Any, BaseException | None]

MAX_BATCH: Final = 256
MAX_WAITING: Final = 4096
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
    future: asyncio.Future[T]
    loop: asyncio.AbstractEventLoop


class Writer:
    """A thread with the only writing connection."""

    def __init__(self, engine: Engine, clock: Clock, observer: Observer | None = None) -> None:
        self._engine = engine
        self._statements = Statements(engine.dialect)
        self._driver: Any = engine.dialect.loaded_dbapi
        self._clock = clock
        self._observer = observer or Quiet()
        self._queue: queue.SimpleQueue[_Waiting[Any] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._connection: Any = None
        self._closed = False
        self.healthy = True
        """Whether the last batch was committed."""
        self._thread = threading.Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Run `operation` in the next transaction; resolved once it is durable.

        The future raises what the operation raised, or `Refusal(unavailable)`. Cancelling it does
        not undo anything: the operation may be committed already.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._closed or self._waiting >= MAX_WAITING:
            future.set_exception(unavailable("the ledger takes no more requests"))
            return future
        self._waiting += 1
        self._queue.put(_Waiting(operation, future, loop))
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
            if len(batch) >= MAX_BATCH or self._queue.empty():
                return batch, True
            item = self._queue.get()
        return batch, False

    def _commit(self, batch: Sequence[_Waiting[Any]]) -> list[Result]:
        started = time.perf_counter()
        try:
            cursor = self._connect().cursor()
            transaction = Transaction(cursor, self._statements, self._clock())
            transaction.begin()
            results = [self._attempt(transaction, item.operation) for item in batch]
            transaction.commit()
        except Exception:  # noqa: BLE001 - whatever broke, nobody in the batch gets a yes
            _LOG.exception("a batch of %d was not committed", len(batch))
            self._disconnect()
            self.healthy = False
            self._observer.failed()
            return [(None, unavailable("the ledger cannot be written"))] * len(batch)
        self.healthy = True
        self._observer.committed(time.perf_counter() - started, len(batch))
        return results

    def _attempt(self, transaction: Transaction, operation: Operation[Any]) -> Result:
        """Run one operation in its savepoint.

        An error of the database ends the batch: what the transaction still holds is not known then.
        Anything else, a broken constraint included, undoes this operation alone.
        """
        head = transaction.savepoint()
        try:
            value = operation(transaction)
        except Refusal as refusal:
            transaction.rollback_to(head)
            return None, refusal
        except Exception as error:
            if isinstance(error, self._driver.Error) and not isinstance(error, self._driver.IntegrityError):
                raise
            _LOG.exception("an operation of the ledger failed")
            transaction.rollback_to(head)
            return None, unavailable("an error of ours; it is in the log")
        transaction.release()
        return value, None

    def _connect(self) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
        return self._connection

    def _disconnect(self) -> None:
        """Drop the connection, and with it whatever was not committed; the next batch gets a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
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


def unavailable(detail: str) -> Refusal:
    """The no that stands for "not written down"."""
    return Refusal(Code.UNAVAILABLE, detail, ask="try again")
