"""Asking people: from a demanded action to a Grant object that waits for their answers.

The ledger makes room first, then the API server makes the object, then the ledger learns its UID. Each
step may be taken again after a crash: the name is derived from task and digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Grant
from doorward.broker import summary
from doorward.broker.cluster import Cluster
from doorward.broker.opening import seconds_of
from doorward.broker.pleas import Plea
from doorward.core import digest, duration, plain
from doorward.core.action import Action
from doorward.core.decision import Demand, Denial
from doorward.core.effect import Effect
from doorward.errors import Code
from doorward.kube import Object, resources
from doorward.ledger import GrantRow, Ledger, Question

TTL_SECONDS: Final = 600
"""How long an agreed action may wait to be run."""
_NAME: Final = 40
_TASK: Final = resources.AGENT_TASKS


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action that people must agree to, with everything they are shown."""

    task: AgentTask
    role: AgentRole
    action: Action
    effect: Effect
    demand: Demand
    policy_hash: str
    plea: Plea


@dataclass
class Parking:
    """Makes Grants in the broker's own name."""

    cluster: Cluster
    ledger: Ledger
    user: str
    """The broker's own user name."""

    async def ask(self, session: str, wanted: Wanted) -> GrantRow | Denial:
        """The Grant that people are asked with. Raises `Refusal(unavailable)`: then nobody was asked."""
        question = self._question(wanted)
        room = await self.ledger.question(session, question)
        if isinstance(room, Denial) or room.uid is not None:
            return room
        made = Grant.parse(await self.cluster.make_grant(body(question, wanted)))
        if made.spec.digest != question.digest or made.spec.task.uid != question.task_uid:
            return Denial(
                Code.APPROVAL_REQUIRED,
                f"a Grant {question.name} for something else is in the way",
                rule=question.rule,
                ask="a person to delete that Grant",
            )
        return await self.take_in(made, question.policy_hash, question.requested_by)

    async def take_in(self, made: Grant, policy_hash: str, requested_by: str) -> GrantRow:
        """The ledger's row of a Grant object, whoever made it."""
        found = question_of(made, policy_hash, requested_by)
        made_at = seconds_of(made.metadata.creation_timestamp)
        return await self.ledger.take_in(made.metadata.uid, found, made_at, own=found.author == self.user)

    def _question(self, wanted: Wanted) -> Question:
        task, action = wanted.task, wanted.action
        found = digest.of(action)
        return Question(
            namespace=task.metadata.namespace,
            name=name_of(task, found),
            task_uid=task.metadata.uid,
            task=task.metadata.name,
            role=task.spec.role,
            rule=wanted.demand.rule,
            connector=action.connector,
            action=action.name,
            digest=found,
            policy_hash=wanted.policy_hash,
            quorum=wanted.demand.quorum,
            max_uses=1,
            ttl=TTL_SECONDS,
            expires=wanted.demand.expires,
            author=self.user,
            requested_by=task.spec.requested_by or "",
        )


def question_of(made: Grant, policy_hash: str, requested_by: str) -> Question:
    """What people are asked by a Grant object, together with what it does not say."""
    spec, metadata = made.spec, made.metadata
    return Question(
        namespace=metadata.namespace,
        name=metadata.name,
        task_uid=spec.task.uid,
        task=spec.task.name,
        role=spec.role.name,
        rule=spec.rule,
        connector=spec.connector,
        action=spec.action,
        digest=spec.digest,
        policy_hash=policy_hash,
        quorum=spec.quorum,
        max_uses=spec.max_uses,
        ttl=duration.seconds(spec.ttl),
        expires=duration.seconds(spec.expires),
        author=spec.author or "",
        requested_by=requested_by,
    )


def name_of(task: AgentTask, action_digest: str) -> str:
    """The name of the Grant for one action of a task, the same however often it is asked for."""
    told = hashlib.sha256((task.metadata.uid + action_digest).encode()).hexdigest()
    return f"{task.metadata.name[:_NAME].rstrip('-.')}-{told[:8]}"


def body(question: Question, wanted: Wanted) -> Object:
    """The Grant object. It goes when its task goes."""
    task = wanted.task.metadata
    owner = {"apiVersion": _TASK.api_version, "kind": _TASK.kind, "name": task.name, "uid": task.uid}
    return {
        "apiVersion": resources.GRANTS.api_version,
        "kind": resources.GRANTS.kind,
        "metadata": {
            "name": question.name,
            "namespace": question.namespace,
            "ownerReferences": [owner],
        },
        "spec": _spec(question, wanted),
    }


def _spec(question: Question, wanted: Wanted) -> dict[str, Any]:
    plea = wanted.plea
    said = {
        "reason": plea.reason,
        "escalation": plea.escalation.document() if plea.escalation else None,
    }
    return {
        "task": {"name": question.task, "uid": question.task_uid},
        "role": {"name": question.role, "uid": wanted.role.metadata.uid},
        "rule": question.rule,
        "connector": question.connector,
        "action": question.action,
        "resource": {
            name: plain.escaped(str(value))[:1024] for name, value in wanted.action.resource.items()
        },
        "digest": question.digest,
        "summary": summary.of(wanted.action, wanted.effect, plea),
        "author": question.author,
        "maxUses": question.max_uses,
        "ttl": f"{question.ttl}s",
        "expires": f"{question.expires}s",
        "quorum": question.quorum,
        **{name: found for name, found in said.items() if found is not None},
    }
