"""`kubectl doorward explain`: the broker's own chain, run here over the objects that the user may read.

It is a preview. What only the ledger knows is taken as untouched, and each such thing is said.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, TypeVar

from doorward import catalogue, policy
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Phase, Resource
from doorward.catalogue import Catalogue
from doorward.cli.place import Place, Refused, labels_of
from doorward.cli.status import table
from doorward.core.strictjson import JsonObject
from doorward.errors import ConfigError
from doorward.kube import resources
from doorward.policy import ActionRequest, Context, Step

T = TypeVar("T", bound=Resource)

UNKNOWN: Final = (
    "the role as it was when the task was accepted: the one that is there now is taken for both",
    "what is used of limits, budgets and ceilings: all of it is taken as free",
    "what earlier actions came to: conditions and stages see none",
    "what people have agreed to: an action that needs an approval stops there",
    "revocations, and whether the ledger has the task frozen",
)
"""What the ledger alone knows."""


async def explain(place: Place, task: str, action: str, args: JsonObject) -> None:
    """Show each step of the decision. Raises `Refused` with the no, if it comes to one, and `ApiError`."""
    request = request_of(action, args)
    steps = policy.explain(request, await gather(place, task, request.connector))
    place.say(table([("", "CHECK"), *(_row(step) for step in steps)]))
    place.say("not known from here:")
    for line in UNKNOWN:
        place.say(f"  {line}")
    denial = next((step.denial for step in steps if step.denial), None)
    if denial is not None:
        facts = {"rule": denial.rule, "allowed": denial.allowed, "ask": denial.ask}
        told = [f"{name}: {text}" for name, text in facts.items() if text]
        raise Refused(f"no, {denial.code.value}: {denial.detail}", *told)
    place.say(f"yes, as far as can be told from here: {request.connector}/{request.action}")


async def gather(place: Place, name: str, connector: str) -> Context:
    """What the policy looks at, from the objects as they are now. Raises `Refused`, `ApiError`."""
    task = await _read(place, AgentTask, resources.AGENT_TASKS, name)
    role = await _read(place, AgentRole, resources.AGENT_ROLES, task.spec.role)
    raw = await place.client.find(resources.CONNECTORS, connector)
    found = Connector.parse(raw) if raw else None
    vocabulary = _vocabulary(found)
    namespace = await place.document()
    phase = task.status.phase
    return Context(
        task=task,
        pinned_role=role,
        current_role=role,
        connector=found,
        actions=vocabulary.actions if vocabulary else {},
        catalogue_hash=vocabulary.hash if vocabulary else "",
        namespace_labels=labels_of(namespace) if namespace else {},
        now=time.time(),
        ended=phase is not None and phase.final,
        frozen=phase is Phase.FROZEN,
    )


def _vocabulary(connector: Connector | None) -> Catalogue | None:
    try:
        return catalogue.load(connector.spec.type) if connector else None
    except ConfigError:
        return None  # a type that this version does not know: its actions are unknown too


async def _read(place: Place, kind: type[T], resource: resources.Resource, name: str) -> T:
    found = await place.client.find(resource, name, place.namespace)
    if found is None:
        raise Refused(f"there is no {resource.kind} {name} in {place.namespace}")
    return kind.parse(found)


def _row(step: Step) -> Sequence[str]:
    if not step.reached:
        return "-", step.question
    return "NO" if step.denial else "yes", step.question


def request_of(action: str, args: JsonObject) -> ActionRequest:
    """The request for `connector/action`. Raises `Refused` for another form."""
    connector, slash, name = action.partition("/")
    if not (connector and slash and name):
        raise Refused(f"{action} is not CONNECTOR/ACTION, e.g. code/issue.comment")
    return ActionRequest(connector, name, args)
