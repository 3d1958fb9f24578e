"""The ledger as its callers see it: each coroutine returns when what it says is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from doorward.core import clock as clocks
from doorward.core.clock import Clock
from doorward.core.decision import Denial, Permit, Reservation
from doorward.core.grade import Cause, Grade
from doorward.ledger import (
    attendance,
    conduct,
    counters,
    decisions,
    grants,
    lineage,
    own,
    redemptions,
    store,
    tasks,
)
from doorward.ledger.chain import Head, Link
from doorward.ledger.history import History
from doorward.ledger.queries import Reader
from doorward.ledger.timekeeping import Pace
from doorward.ledger.transaction import Reads, Transaction
from doorward.ledger.values import (
    Ask,
    Attended,
    Birth,
    Claim,
    Counted,
    Crowded,
    Denied,
    Door,
    Epoch,
    Granted,
    GrantRow,
    NotNewer,
    Opened,
    Pin,
    PublishedKey,
    Question,
    Recorded,
    Redeemed,
    Refused,
    Report,
    Terms,
    Thawed,
    ThawRequest,
)
from doorward.ledger.writer import MAX_BATCH, Observer, Operation, Writer
from doorward.telemetry.events import Event

T = TypeVar("T")


class Ledger:
    """Everything asked, decided, spent and done.

    Every coroutine may raise `Refusal(unavailable)`: then nothing was promised, though it may have
    been written, and asking again is harmless.
    """

    def __init__(
        self,
        url: str | Path,
        clock: Clock = clocks.system,
        observer: Observer | None = None,
        ticks: Clock = clocks.steady,
        max_batch: int = MAX_BATCH,
    ) -> None:
        """Bring the schema up to date and start the writer. Blocks; raises `LedgerUnusable`.

        `url` is the address of the database, or the file that holds it. `ticks` paces the windows of
        limits, whatever becomes of the wall `clock` meanwhile. At most `max_batch` requests are committed
        together.
        """
        engine = store.engine(url)
        store.upgrade(engine)
        self.shared = engine.dialect.name == "postgresql"
        """Whether other brokers may write it too."""
        self.reader = Reader(engine)
        self.history = History(engine)
        self._writer = Writer(engine, Pace(clock, ticks), observer, max_batch)

    @property
    def healthy(self) -> bool:
        """Whether the last batch was committed."""
        return self._writer.healthy

    @property
    def lost(self) -> str | None:
        """Why nothing is written any more until the process starts again; None while it is."""
        return self._writer.lost

    def serve(self, epoch: str) -> None:
        """From now on only in this epoch: once another has begun, everything is `unavailable`."""
        self._writer.epoch = epoch

    def close(self) -> None:
        """Commit what waits and close. Blocks; idempotent."""
        self._writer.close()
        self.reader.close()

    async def head(self) -> Head:
        """The last event. Also proves that the ledger can be written."""
        return await self._run(lambda txn: txn.head)

    async def epoch(self) -> Epoch | None:
        """The epoch in force."""
        return await self._run(tasks.newest_epoch)

    async def begin_epoch(self, epoch: Epoch, replaces: str | None = None, **facts: Any) -> Epoch:
        """Start an epoch instead of the one in force; with `trusts_after` set, every live task freezes."""
        return await self._run(lambda txn: tasks.begin_epoch(txn, epoch, replaces, facts))

    async def attend(self, session: str, thumbprint: str, peer: str, nonce: str) -> Attended:
        """Take a door's proof for all brokers; its session. Raises `Refusal`, also of a used proof."""
        reads = attendance.attending(session, thumbprint, nonce)
        return await self._run(
            lambda txn: attendance.attend(txn, session, thumbprint, peer, nonce), reads=reads
        )

    async def use_proof(self, thumbprint: str, nonce: str) -> None:
        """Take a proof for all brokers. Raises `Refusal(proof_invalid)`."""
        reads = attendance.proving(thumbprint, nonce)
        await self._run(lambda txn: attendance.use_proof(txn, thumbprint, nonce), reads=reads)

    async def fence(self, session: str, since: float) -> None:
        """Tell all brokers since when the fence of a session is known to hold."""
        await self._run(lambda txn: attendance.fence(txn, session, since))

    async def publish_key(self, kid: str, statement: str, expires_at: float) -> float:
        """Tell all brokers a public key; since when they could know it."""
        return await self._run(lambda txn: attendance.publish_key(txn, kid, statement, expires_at))

    async def published_keys(self) -> list[PublishedKey]:
        """The public keys of all brokers."""
        return await self._run(attendance.keys)

    async def open_session(self, pin: Pin, door: Door, *, last_try: bool) -> Opened | NotNewer:
        """Open a door's session. Raises `Refusal`: `task_frozen`, `task_ended`."""
        return await self._answer(lambda txn: tasks.open_session(txn, pin, door, last_try=last_try))

    async def open_own(self, thumbprint: str, namespace: str) -> str:
        """Open a session of the broker itself, which reads facts; the id of it."""
        return await self._run(lambda txn: own.open_own(txn, thumbprint, namespace))

    async def close_session(self, session: str, reason: str) -> bool:
        """Close a session; false when it was closed."""
        return await self._run(lambda txn: tasks.close_session(txn, session, reason))

    async def permit(self, ask: Ask, found: Permit, terms: Terms) -> Granted | Denied:
        """Write a yes down and take what it reserves; a limit, state or revocation makes it a no."""
        reads = decisions.reads(ask, found.reservations)
        return await self._run(lambda txn: decisions.permit(txn, ask, found, terms), reads=reads)

    async def deny(self, ask: Ask, denial: Denial, terms: Terms) -> Denied:
        """Write a no down."""
        return await self._run(
            lambda txn: decisions.deny(txn, ask, denial, terms), reads=decisions.reads(ask)
        )

    async def start_child(self, birth: Birth, room: Reservation) -> Birth | Crowded:
        """Take room for a child of a task. Raises `Refusal` when nothing of the task is decided any more."""
        return await self._run(lambda txn: lineage.start(txn, birth, room))

    async def add_denials(
        self, task_uid: str, codes: Mapping[str, int], since: float, until: float, most: int
    ) -> bool:
        """Write down noes that were only counted; true when they were too many and the task froze."""
        return await self._run(
            lambda txn: decisions.add_denials(txn, task_uid, codes, (since, until), most), vital=True
        )

    async def redeem(self, claim: Claim, epoch: str, *, quiet: bool = False) -> Redeemed:
        """Spend a capability. Raises `Refusal`: `replayed`, `revoked`, `task_ended` and the like.

        A `quiet` refusal is not written down: the caller counts it.
        """
        return await self._answer(
            lambda txn: redemptions.redeem(txn, claim, epoch, quiet=quiet),
            vital=True,
            reads=redemptions.redeeming(claim),
        )

    async def report(self, told: Report) -> Recorded:
        """Write an outcome down. Raises `Refusal`: `capability_invalid`, `replayed`."""
        return await self._answer(
            lambda txn: redemptions.report(txn, told), vital=True, reads=redemptions.reporting(told)
        )

    async def question(self, session: str, wanted: Question) -> GrantRow | Denial:
        """Room to ask people about one action; the object is made afterwards, see `take_in`."""
        return await self._run(lambda txn: decisions.question(txn, session, wanted))

    async def take_in(self, uid: str, question: Question, made_at: float, *, own: bool) -> GrantRow:
        """The row of a Grant object that was seen; `own` is one in the broker's name."""
        return await self._run(lambda txn: grants.take_in(txn, uid, question, made_at, own=own))

    async def answer(self, grant: str, found: Counted) -> GrantRow | None:
        """Take a person's answer in; None for a Grant that is not there."""
        return await self._run(lambda txn: grants.answer(txn, grant, found))

    async def drifted(self, grant: str) -> GrantRow | None:
        """What people were asked about is not what is in force."""
        return await self._run(lambda txn: grants.drifted(txn, grant))

    async def gone(self, grant: str) -> GrantRow | None:
        """The Grant's object was deleted; None where that was known."""
        return await self._run(lambda txn: grants.gone(txn, grant))

    async def sweep_grants(self) -> list[GrantRow]:
        """Settle Grants whose time is over, that are revoked or whose task has ended; what changed."""
        return await self._run(grants.sweep)

    async def sweep(self) -> list[str]:
        """Settle redemptions whose outcome never came; the connector of each."""
        return await self._run(redemptions.sweep, vital=True)

    async def freeze(self, task_uid: str, reason: str, cause: Cause) -> bool:
        """Freeze a live task; false when there was none."""
        return await self._run(lambda txn: tasks.freeze(txn, task_uid, reason, cause), vital=True)

    async def grade(self, task_uid: str, to: Grade, cause: Cause | None, story: str, until: float) -> bool:
        """Write down how a live task is treated; false when there is none."""
        return await self._run(
            lambda txn: conduct.grade(txn, task_uid, to, (cause, story), until), vital=True
        )

    async def thaw(self, asked: ThawRequest) -> Thawed:
        """Let a frozen task live again, or say why not; the same Thaw always gets the same answer."""
        return await self._run(lambda txn: conduct.thaw(txn, asked), vital=True)

    async def end(self, task_uid: str, reason: str) -> bool:
        """End a task and close its sessions; false when it had ended or is unknown."""
        return await self._run(lambda txn: tasks.end(txn, task_uid, reason), vital=True)

    async def latch(self, uid: str, subjects: Sequence[str], **facts: Any) -> bool:
        """Take a revocation in, for good; false when it was."""
        return await self._run(lambda txn: tasks.latch(txn, uid, tuple(subjects), facts), vital=True)

    async def record(self, event: Event, task_uid: str | None = None, **facts: Any) -> Link:
        """Append an event that changes nothing else."""
        return await self._run(lambda txn: txn.append(event, task_uid, **facts))

    async def used(self, keys: Iterable[tuple[str, int | None]]) -> list[int]:
        """What is taken of each counter, given as (key, window in seconds or None)."""
        wanted = list(keys)
        return await self._run(
            lambda txn: [counters.used(txn, key, window_seconds) for key, window_seconds in wanted]
        )

    def _run(
        self, operation: Operation[T], *, vital: bool = False, reads: Reads | None = None
    ) -> asyncio.Future[T]:
        return self._writer.submit(operation, vital=vital, reads=reads)

    async def _answer(
        self, operation: Operation[T | Refused], *, vital: bool = False, reads: Reads | None = None
    ) -> T:
        """Run, and raise a no that was written down only now that it is durable."""

        def attempt(txn: Transaction) -> T | Refused:
            return operation(txn)

        found = await self._writer.submit(attempt, vital=vital, reads=reads)
        if isinstance(found, Refused):
            raise found.refusal
        return found
