"""Feeding the facts, and carrying what follows from news into the ledger, in order and until it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from doorward.api.v1alpha1 import Phase
from doorward.broker.clerk import Clerk
from doorward.broker.conduct import Conduct
from doorward.broker.facts import Consequence, EndTask, Facts, Latch, Lift, involved_in
from doorward.broker.grading import Standing
from doorward.broker.heartbeat import Heartbeat
from doorward.broker.notices import Notices
from doorward.broker.sessions import Sessions
from doorward.errors import Code, Refusal
from doorward.kube import ApiError, Backoff, Change, ChangeType, Client, Informer, Resource, resources
from doorward.ledger import Ledger, TaskRow, ThawRequest
from doorward.render.names import managed
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
_FOLLOWED: Final = (
    resources.NAMESPACES,
    resources.AGENT_TASKS,
    resources.AGENT_ROLES,
    resources.CONNECTORS,
    resources.GRANTS,
    resources.APPROVALS,
    resources.THAWS,
)
_PODS: Final = ",".join(f"{name}={value}" for name, value in managed().items())
_AGAIN_SECONDS: Final = 0.5
_BACKOFF: Final = Backoff(limit=2.0)
"""Soon again: nothing is decided while a watch is broken."""
_BEATLESS_SECONDS: Final = 5.0
"""A watch of Revocations without a byte for so long is opened anew: the heartbeat comes each second."""
_AT_ONCE: Final = 256
"""What is written down at the same time: the ledger commits it together."""


class Feed:
    """The informers of one broker."""

    def __init__(
        self, client: Client, facts: Facts, sessions: Sessions, ledger: Ledger, conduct: Conduct
    ) -> None:
        self._client = client
        self._facts = facts
        self._sessions = sessions
        self._ledger = ledger
        self._notices = Notices(client, facts)
        self._heard: Callable[[Resource, Change], None] = lambda _, __: None
        self._conduct = conduct
        sessions.on_freeze = conduct.told = self._notices.graded
        self._todo: asyncio.Queue[Consequence] = asyncio.Queue()
        self._waiting: dict[str, Informer] = {}
        self._pods: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self.live: Sequence[TaskRow] = ()
        """Tasks that the ledger thought alive at the start."""

    def serve(self, clerk: Clerk) -> None:
        """Tell the clerk what has changed, and people what the clerk has done."""
        self._heard = clerk.heard
        clerk.show, clerk.tell = self._notices.grant, self._notices.turned

    def missing(self) -> list[str]:
        """What has not been filled yet."""
        return [f"the cache of {name}" for name, one in self._waiting.items() if not one.synced.is_set()]

    def behind(self) -> float:
        """For how many seconds the watch that is broken longest has been; those of pods do not count."""
        return max((one.behind for one in self._waiting.values()), default=0.0)

    def is_filled(self) -> bool:
        """Whether everything there is has been told."""
        return bool(self._waiting) and not self.missing()

    async def filled(self) -> None:
        """Return once everything there is has been told."""
        while not self.is_filled():  # noqa: ASYNC110 - informers come and go
            await asyncio.sleep(0.05)

    async def run(self, heartbeat: Heartbeat) -> None:
        """Follow everything for ever."""
        heartbeat.behind = self.behind
        async with asyncio.TaskGroup() as group:
            for resource in _FOLLOWED:
                group.create_task(self._informer(resource, None, self._on(resource)).run())
            group.create_task(self._revocations(heartbeat).run())
            group.create_task(self.work(group))
            group.create_task(self._notices.run())
            group.create_task(self._follow_pods(group))

    def _revocations(self, heartbeat: Heartbeat) -> Informer:
        follow = self._on(resources.REVOCATIONS)

        def on_event(change: Change) -> None:
            follow(change)  # before the mark: it vouches for what came until then
            heartbeat.on_change(change)

        return self._informer(resources.REVOCATIONS, None, on_event, silence=_BEATLESS_SECONDS)

    def _informer(
        self,
        resource: Resource,
        namespace: str | None,
        on_event: Callable[[Change], None],
        **options: Any,
    ) -> Informer:
        made = Informer(self._client, resource, namespace, on_event, backoff=_BACKOFF, **options)
        if resource is not resources.PODS:  # a namespace that shows us no pods must not stop all others
            self._waiting[f"{resource.plural} in {namespace or 'all namespaces'}"] = made
        return made

    def _on(self, resource: Resource, namespace: str | None = None) -> Callable[[Change], None]:
        def on_event(change: Change) -> None:
            if change.type is ChangeType.SYNCED:
                if resource in {resources.AGENT_TASKS, resources.PODS}:
                    self._follow(self._facts.missed(self._live_now(), namespace))
            else:
                self._follow(self._facts.apply(resource, change))
                self._heard(resource, change)
            if resource is resources.NAMESPACES:
                self._changed.set()

        return on_event

    def _live_now(self) -> Sequence[TaskRow]:
        return [row for row in self.live if row.uid in self._sessions.roles]

    def _follow(self, consequences: list[Consequence]) -> None:
        for item in consequences:
            if isinstance(item, EndTask):
                self._sessions.end(item.uid, item.reason)
                self._conduct.forget(item.uid)
            self._todo.put_nowait(item)

    async def work(self, group: asyncio.TaskGroup) -> None:
        """Carry consequences into the ledger for ever. None waits behind another: each is true by itself."""
        room = asyncio.Semaphore(_AT_ONCE)
        while True:
            item = await self._todo.get()
            await room.acquire()
            group.create_task(self._carry(item, room))

    async def _carry(self, item: Consequence, room: asyncio.Semaphore) -> None:
        while not await self._done(item):  # noqa: ASYNC110 - until the disk is back, not until an event
            await asyncio.sleep(_AGAIN_SECONDS)
        room.release()

    async def _done(self, item: Consequence) -> bool:
        try:
            match item:
                case EndTask(uid, reason):
                    await self._ledger.end(uid, reason)
                case Latch():
                    await self._latch(item)
                case Lift(asked):
                    await self._lift(asked)
        except Refusal as refusal:
            _LOG.warning("not written down yet", item=str(item), why=str(refusal))
            return False
        return True

    async def _latch(self, item: Latch) -> None:
        facts = {"namespace": item.namespace, "name": item.name, "reason": item.reason}
        if await self._ledger.latch(item.uid, item.subjects, **facts):
            self._notices.latched(item)

    async def _lift(self, asked: ThawRequest) -> None:
        thawed = await self._ledger.thaw(asked if asked.involved else await self._known(asked))
        self._notices.lifted(asked, thawed)
        uid = thawed.task_uid
        if uid is not None and (thawed.new or self._sessions.frozen(uid)):
            self._conduct.forget(uid)
            self._sessions.thaw(uid, close=thawed.sessions_closed)
            self._notices.graded(uid, Standing(), Phase.RUNNING)

    async def _known(self, asked: ThawRequest) -> ThawRequest:
        """With who stands too close, of a task that no watch has told of yet; read live."""
        try:
            found = await self._client.find(resources.AGENT_TASKS, asked.task, asked.namespace)
        except ApiError as error:
            raise Refusal(Code.UNAVAILABLE, f"the API server did not answer: {error.reason}") from error
        return replace(asked, involved=involved_in((found or {}).get("spec", {})))

    async def _follow_pods(self, group: asyncio.TaskGroup) -> None:
        """One informer per enrolled namespace: the broker may look at no other pods."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            enrolled = {name for name in self._facts.namespaces if self._facts.enrolled(name)}
            for name in enrolled - set(self._pods):
                made = self._informer(resources.PODS, name, self._on(resources.PODS, name), labels=_PODS)
                self._pods[name] = group.create_task(made.run())
            for name in set(self._pods) - enrolled:
                self._pods.pop(name).cancel()
