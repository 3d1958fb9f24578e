"""Looking after Grants: each is settled again whenever anything about it may have changed.

One look is: is the object known to the ledger, is it still there, has the policy drifted, whose answers
are new, does its status say what the ledger says. All of it is in the ledger, so any look may be the
first one of a new process, and several brokers may look at the same time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from doorward.api.v1alpha1 import Approval, Grant
from doorward.broker.counting import Counter
from doorward.broker.facts import Facts
from doorward.broker.gathering import Gatherer
from doorward.broker.metrics import Metrics
from doorward.broker.parking import Parking
from doorward.core.clock import Clock
from doorward.errors import Refusal
from doorward.kube import Change, Resource, resources
from doorward.ledger import GrantRow, Ledger
from doorward.telemetry import log

Key = tuple[str, str]
"""Namespace and name of a Grant."""

TICK_SECONDS: Final = 1.0
"""How often time, Revocations and ends of tasks are looked at."""
DRIFT_SECONDS: Final = 3.0
"""How long a drift must last: the watches of two brokers, or of two kinds, are not equally fast."""
_AT_ONCE: Final = 16
_LOG: Final = log.get(__name__)


@dataclass
class Clerk:
    """Settles Grants. News come by `heard`; whoever waits for a Grant holds its `bell`."""

    facts: Facts
    ledger: Ledger
    parking: Parking
    counter: Counter
    gatherer: Gatherer
    metrics: Metrics
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    show: Callable[[Grant, GrantRow, list[Approval]], None] = lambda _, __, ___: None
    """Told what people should see of a Grant and of the answers to it."""
    tell: Callable[[GrantRow], None] = lambda _: None
    """Told each change of state that this process made."""
    current: Callable[[], bool] = lambda: True
    """Whether no watch is behind: what another broker has heard may only be missing here."""
    failures: int = 0
    """Looks that came to nothing, because the ledger or the API server failed."""
    _todo: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)
    _queued: set[Key] = field(default_factory=set)
    _busy: set[Key] = field(default_factory=set)
    _dirty: set[Key] = field(default_factory=set)
    """Grants about which news came while they were looked at."""
    _live: set[Key] = field(default_factory=set)
    """Grants that may still come to something."""
    _again: set[Key] = field(default_factory=set)
    """Grants that are to be looked at again without any news: a failure, or a drift that must last."""
    _drifting: dict[Key, float] = field(default_factory=dict)
    _bells: WeakValueDictionary[Key, asyncio.Event] = field(default_factory=WeakValueDictionary)

    def heard(self, resource: Resource, change: Change) -> None:
        """News that `Facts` has taken in: look at the Grants that they may be about."""
        metadata = change.object["metadata"]
        namespace, name = str(metadata.get("namespace", "")), str(metadata["name"])
        match resource:
            case resources.GRANTS:
                self.look(namespace, name)
            case resources.APPROVALS:
                self.look(namespace, str(change.object.get("spec", {}).get("grant", "")))
            case resources.AGENT_ROLES:
                self._look_all(key for key in self._live if key[0] == namespace)
            case resources.CONNECTORS:
                self._look_all(self._live)
            case resources.NAMESPACES:
                self._look_all(key for key in self.facts.grants if key[0] == name)

    def look(self, namespace: str, name: str) -> None:
        """Settle one Grant soon."""
        key = (namespace, name)
        if key in self._busy:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._todo.put_nowait(key)

    def bell(self, key: Key) -> asyncio.Event:
        """Set when the Grant changes; held by whoever waits, and asked for anew after each ring."""
        return self._bells.setdefault(key, asyncio.Event())

    async def run(self, ready: Callable[[], bool]) -> None:
        """Settle for ever, once the caches are `ready`: what is missing in them is not gone."""
        while not ready():  # noqa: ASYNC110 - informers come and go
            await asyncio.sleep(0.05)
        await self._until(self._look_at_known)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick())
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._todo.get()
            self._queued.discard(key)
            self._busy.add(key)
            if not await self._tried(lambda: self.settle(key)):  # noqa: B023 - awaited before the next key
                self._again.add(key)
            self._busy.discard(key)
            if key in self._dirty:
                self._dirty.discard(key)
                self.look(*key)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self._tried(self.sweep)

    async def _until(self, work: Callable[[], Awaitable[None]]) -> None:
        while not await self._tried(work):  # noqa: ASYNC110 - until the disk is back, not until an event
            await asyncio.sleep(TICK_SECONDS)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it was done. A ledger or an API server that fails must not end the broker."""
        try:
            await work()
        except Refusal as refusal:
            _LOG.warning("Grants are not settled yet", why=str(refusal))
        except Exception:  # noqa: BLE001 - whatever broke, the other Grants are looked after
            _LOG.exception("Grants are not settled yet")
        else:
            return True
        self.failures += 1
        return False

    async def _look_at_known(self) -> None:
        """What was deleted while nobody looked is in the ledger and not in the cluster."""
        self._look_all(await asyncio.to_thread(self.ledger.reader.known_grants))

    async def sweep(self) -> None:
        """Let time, Revocations and ends of tasks have their effect, and look again at what waits."""
        for row in await self.ledger.sweep_grants():
            self.changed(row)
            self.look(row.namespace, row.name)
        again, self._again = self._again, set()
        self._look_all(again)

    async def settle(self, key: Key) -> None:
        """Take one look. Raises `Refusal(unavailable)`: then it is taken again."""
        grant = self.facts.grants.get(key)
        row = await asyncio.to_thread(self.ledger.reader.grant, *key)
        if grant is None:
            await self._vanished(key, row)
        elif self.facts.enrolled(key[0]):
            await self._present(key, grant, row)

    async def _vanished(self, key: Key, row: GrantRow | None) -> None:
        self._live.discard(key)
        self._drifting.pop(key, None)
        if row is None or row.uid is None or row.gone_at is not None:
            return
        if await self._is_there(key, row.uid):
            self._again.add(key)
            return
        after = await self.ledger.gone(row.uid)
        if after is not None:
            self.changed(after, row)

    async def _is_there(self, key: Key, uid: str) -> bool:
        """Asked live: a Grant that was just made is in the ledger before the watch has told of it."""
        found = await self.parking.cluster.grant(*key)
        return found is not None and found["metadata"]["uid"] == uid

    async def _present(self, key: Key, grant: Grant, row: GrantRow | None) -> None:
        policy_hash = await self._policy_hash(grant)
        if row is None or row.uid != grant.metadata.uid:
            row = await self._taken_in(grant, policy_hash)
        if row is None:
            self._again.add(key)
            return
        if self._has_drifted(key, row, policy_hash):
            row = self.changed(await self.ledger.drifted(grant.metadata.uid) or row, row)
        answers = self.facts.answering(key)
        for found in answers:
            row = await self._counted(grant, row, found)
        (self._live.add if row.open else self._live.discard)(key)
        self.show(grant, row, answers)

    async def _taken_in(self, grant: Grant, policy_hash: str | None) -> GrantRow | None:
        """The row of an object that is new to the ledger; None while its task is not known here.

        Nor where the object is not there any more: another broker may have heard of its end, and have
        asked again under the same name, before the watch told us.
        """
        task, metadata = self.facts.tasks.get(grant.spec.task.uid), grant.metadata
        if task is None or policy_hash is None:
            return None
        if not await self._is_there((metadata.namespace, metadata.name), metadata.uid):
            return None
        row = await self.parking.take_in(grant, policy_hash, task.spec.requested_by or "")
        return self.changed(row)

    async def _counted(self, grant: Grant, row: GrantRow, found: Approval) -> GrantRow:
        known = {item.approval_uid for item in row.answers}
        if not row.open or found.metadata.uid in known or self.clock() >= row.expires_at:
            return row
        task = self.facts.tasks.get(row.task_uid)
        if task is None:  # who made it is not known, so nobody can be told apart from them
            return row
        answer = await self.counter.judge(grant, row, found, task.spec.created_by or "")
        after = await self.ledger.answer(grant.metadata.uid, answer)
        if after is None:
            return row
        if found.metadata.uid in {item.approval_uid for item in after.answers}:
            self.metrics.answered_grant(answer.refused or answer.decision.lower())
        return self.changed(after, row)

    def _has_drifted(self, key: Key, row: GrantRow, policy_hash: str | None) -> bool:
        if not row.open or policy_hash in {row.policy_hash, None}:
            self._drifting.pop(key, None)
            return False
        if not self.current():
            self._drifting.pop(key, None)
            self._again.add(key)
            return False
        since = self._drifting.setdefault(key, self.monotonic())
        self._again.add(key)
        return self.monotonic() - since >= DRIFT_SECONDS

    async def _policy_hash(self, grant: Grant) -> str | None:
        """What is in force for the Grant's task now; None where the task is not known here."""
        task = self.facts.tasks.get(grant.spec.task.uid)
        if task is None:
            return None
        current = self.facts.roles.get((task.metadata.namespace, task.spec.role))
        pinned = await self.gatherer.pinned(task.metadata.uid) or current
        if pinned is None:
            return None
        try:
            return (await self.gatherer.context(task, pinned, grant.spec.connector)).policy_hash
        except Refusal:  # a task above is over, so nothing is in force for this one
            return None

    def changed(self, row: GrantRow, before: GrantRow | None = None) -> GrantRow:
        """Take notice of a change that this process made."""
        if before is None or before.state != row.state:
            self.metrics.grant(row.state)
            self.tell(row)
        bell = self._bells.pop((row.namespace, row.name), None)
        if bell is not None:
            bell.set()
        return row

    def _look_all(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self.look(*key)
