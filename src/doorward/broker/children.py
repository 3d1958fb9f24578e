"""Children: tasks that agents start. The broker writes the object; what it may do, its parent bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward import policy
from doorward.api.v1alpha1 import AgentTask, Phase
from doorward.broker.cluster import Cluster
from doorward.broker.decisions import REQUEST, Decider
from doorward.broker.facts import Facts
from doorward.broker.sessions import Open
from doorward.core import digest, duration
from doorward.core.decision import Denial
from doorward.core.effect import Effect
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal
from doorward.kube import Object, resources
from doorward.kube.resources import name_of, uid_of
from doorward.ledger import Ask, Birth, Crowded, Ledger
from doorward.policy import Context

ACTION: Final = "task.start"
"""What a child that was refused is called in the ledger; there is no connector for it."""
_OWN: Final = frozenset({"role", "agent", "input", "scope", "stages", "budgets", "deadline"})
"""Members of a child's spec that its parent's agent may choose; the rest is inherited."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A child that is asked for."""

    request: str
    spec: JsonObject

    @property
    def role(self) -> str:
        """The role it would run in."""
        return str(self.spec["role"])


@dataclass
class Children:
    """Starts and shows the children of open sessions' tasks."""

    facts: Facts
    ledger: Ledger
    cluster: Cluster
    decider: Decider

    async def start(self, opened: Open, body: Mapping[str, Json]) -> dict[str, Json]:
        """The answer to `POST /v1/tasks`. Raises the `Refusal` of a denial, recorded before."""
        wish = parse(body)
        context = await self.decider.gather(opened, "")
        child = child_of(context.task, wish)
        AgentTask.parse({**child, "metadata": {**child["metadata"], "uid": "unborn"}})
        room = policy.may_start(wish.role, context)
        if isinstance(room, Denial):
            raise await self._denied(opened, wish, room)
        born = await self.ledger.start_child(_birth(context, wish, child), room)
        if isinstance(born, Crowded):
            raise await self._denied(opened, wish, policy.too_many(room, born.used))
        made = await self.cluster.make_task(context.task.metadata.namespace, child)
        _check_made(made, context)
        return {"task": {"name": name_of(made), "uid": uid_of(made), "role": wish.role}}

    def show(self, opened: Open) -> list[Json]:
        """The answer to `GET /v1/tasks`: the children of the task, as far as the news go."""
        parent = opened.session.task_uid
        mine = [task for task in self.facts.tasks.values() if _parent_uid(task) == parent]
        return [_shown(task) for task in sorted(mine, key=lambda task: task.metadata.name)]

    async def _denied(self, opened: Open, wish: Wish, denial: Denial) -> Refusal:
        ask = Ask(
            session=opened.session.id,
            request=wish.request,
            connector="",
            action=ACTION,
            effect=Effect.DRAFT.value,
            digest=digest.of_json(wish.spec),
            resource={"role": wish.role},
        )
        return await self.decider.refused(ask, denial, opened)


def parse(body: Mapping[str, Json]) -> Wish:
    """The closed shape of a child. Raises `Refusal(malformed)`."""
    match body:
        case {"request": str(request), "role": str(), **rest} if REQUEST.fullmatch(request) and set(
            rest
        ) <= _OWN - {"role"}:
            return Wish(request, {name: found for name, found in body.items() if name in _OWN})
    raise Refusal(
        Code.MALFORMED,
        "not a task to start",
        allowed=f"{{request, role}} and of {', '.join(sorted(_OWN - {'role'}))}",
    )


def child_of(parent: AgentTask, wish: Wish) -> Object:
    """The AgentTask of a child: what is not asked for is as the parent has it. Pure."""
    spec = parent.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    kind, metadata = resources.AGENT_TASKS, parent.metadata
    owner = {"apiVersion": kind.api_version, "kind": kind.kind, "name": metadata.name, "uid": metadata.uid}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": child_name(parent, wish.request),
            "namespace": metadata.namespace,
            "ownerReferences": [owner],
        },
        "spec": {
            "agent": spec["agent"],
            **wish.spec,
            "deadline": _shorter(wish.spec.get("deadline"), parent.spec.deadline),
            "ttlAfterFinished": parent.spec.ttl_after_finished,
            "requestedBy": parent.spec.requested_by or "",
            "parent": {"name": metadata.name, "uid": metadata.uid},
        },
    }


def child_name(parent: AgentTask, request: str) -> str:
    """The same for the same request, so that asking again makes no second child."""
    mark = hashlib.sha256(f"{parent.metadata.uid}/{request}".encode()).hexdigest()[:8]
    return f"{parent.metadata.name[:45].rstrip('-.')}-{mark}"


def _shorter(asked: Json, own: str) -> str:
    """No child is given longer than its parent; what is no duration is left to the schema to refuse."""
    if asked is None:
        return own
    try:
        return min((str(asked), own), key=duration.seconds)
    except ValueError:
        return str(asked)


def _birth(context: Context, wish: Wish, child: Object) -> Birth:
    return Birth(
        parent_uid=context.task.metadata.uid,
        request=wish.request,
        name=name_of(child),
        role=wish.role,
        digest=digest.of_json(child["spec"]),
    )


def _check_made(made: Object, context: Context) -> None:
    """An object of that name that somebody else made is not the child."""
    parent = made.get("spec", {}).get("parent") or {}
    if parent.get("uid") != context.task.metadata.uid:
        raise Refusal(
            Code.RESERVED,
            f"there is another task {name_of(made)}",
            ask="start the child under a new request id",
        )


def _parent_uid(task: AgentTask) -> str | None:
    return task.spec.parent.uid if task.spec.parent else None


def _shown(task: AgentTask) -> dict[str, Json]:
    return {
        "name": task.metadata.name,
        "uid": task.metadata.uid,
        "role": task.spec.role,
        "phase": (task.status.phase or Phase.PENDING).value,
    }
