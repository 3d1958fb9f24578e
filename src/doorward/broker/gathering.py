"""What the policy looks at of a task and of those above it: gathered in one way, whoever asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from doorward.api.v1alpha1 import AgentRole, AgentTask
from doorward.broker.conduct import Conduct
from doorward.broker.facts import Facts
from doorward.broker.sessions import Sessions
from doorward.broker.vocabulary import vocabulary_of
from doorward.core.clock import Clock
from doorward.errors import Code, Refusal
from doorward.ledger import Ledger
from doorward.policy import Context


@dataclass
class Gatherer:
    """Makes contexts from what the broker follows and from what was pinned."""

    facts: Facts
    sessions: Sessions
    ledger: Ledger
    conduct: Conduct
    clock: Clock

    async def pinned(self, task_uid: str) -> AgentRole | None:
        """The role as it was pinned, by whichever broker; None before the task's first session."""
        known = self.sessions.roles.get(task_uid)
        if known is not None:
            return known
        snapshot = await asyncio.to_thread(self.ledger.reader.pinned_role, task_uid)
        return AgentRole.model_validate_json(snapshot) if snapshot is not None else None

    async def context(self, task: AgentTask, pinned: AgentRole, connector: str) -> Context:
        """All but what happened before. Raises `Refusal(task_ended)` when a task above is over."""
        namespace, name, role = task.metadata.namespace, task.metadata.name, task.spec.role
        found = self.facts.connectors.get(connector)
        vocabulary = vocabulary_of(found)
        over = self.sessions.over(task.metadata.uid)
        return Context(
            task=task,
            pinned_role=pinned,
            current_role=self.facts.roles.get((namespace, role)),
            connector=found,
            actions=vocabulary.actions if vocabulary else {},
            catalogue_hash=vocabulary.hash if vocabulary else "",
            namespace_labels=self.facts.namespaces.get(namespace, {}),
            now=self.clock(),
            ended=not self.facts.enrolled(namespace) or (over is not None and over.code is Code.TASK_ENDED),
            frozen=over is not None and over.code is Code.TASK_FROZEN,
            revoked=self.facts.is_revoked(namespace, name, role),
            cautious=self.conduct.cautious(task.metadata.uid),
            parent=await self._parent(task, connector),
        )

    async def _parent(self, task: AgentTask, connector: str) -> Context | None:
        if task.spec.parent is None:
            return None
        above = self.facts.tasks.get(task.spec.parent.uid)
        pinned = await self.pinned(task.spec.parent.uid)
        if above is None or pinned is None or above.metadata.namespace != task.metadata.namespace:
            raise Refusal(Code.TASK_ENDED, "the task that started this one is over", ask="apply a new task")
        return await self.context(above, pinned, connector)
