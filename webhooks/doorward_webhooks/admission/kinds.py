"""Our own kinds, in every namespace: what the schema and the policies in the cluster cannot judge.

Nothing here wants another object to be there, but for a Grant and an Approval, which speak of one that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from doorward.api.v1alpha1 import AgentRole, AgentTask, Approval, Grant, Thaw
from doorward.errors import Code, Refusal
from doorward.policy import evaluate, schemas
from doorward_webhooks.admission import literals, people, thawing
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.people import Allows
from doorward_webhooks.admission.review import Denied, Operation, Review

_FREE = ("input", "agent")
"""Members of a task's spec in which people write what they like."""


async def decide(review: Review, around: Surroundings, allows: Allows) -> None:
    """Judge an object of ours. Raises `Refusal`; what leaves the spec as it was always passes."""
    spec, old = ((found or {}).get("spec") for found in (review.object, review.old))
    if review.operation is Operation.DELETE or review.subresource or (review.old and spec == old):
        return
    match review.resource:
        case "agenttasks":
            _check_task(_whole(review), review.namespace, around)
        case "agentroles":
            _check_role(AgentRole.parse(_whole(review)))
        case "approvals":
            await people.check_approval(Approval.parse(_whole(review)), review, around, allows)
        case "grants":
            people.check_grant(Grant.parse(_whole(review)), review, around)
        case "thaws":
            await thawing.check_thaw(Thaw.parse(_whole(review)), review, around, allows)
        case _:
            raise Refusal(Code.MALFORMED, f"{review.resource} is not judged here")


def _whole(review: Review) -> Mapping[str, Any]:
    return review.object or {}


def _check_task(raw: Mapping[str, Any], namespace: str, around: Surroundings) -> None:
    task = AgentTask.parse(raw)
    _refuse(Code.ARGUMENTS_INVALID, "the task cannot be held", "tasks.conditions", list(_stage_faults(task)))
    role = around.known.role(namespace, task.spec.role)
    accepted = literals.accepted(role.metadata.annotations) if role else frozenset()
    free = {"spec": {member: raw["spec"].get(member) for member in _FREE}}
    found = [
        (pointer, f"{pointer}: {item.name}, {item.fingerprint}")
        for pointer, item in literals.find_in(free, accepted)
    ]
    ask = (
        "give the credential to a Connector; if it is none, have its fingerprint put into the annotation "
        f"{literals.ACCEPTED} of the role"
    )
    _refuse(Code.HOLDS_SECRET, "the task holds what looks like a credential", "tasks.literals", found, ask)


def _stage_faults(task: AgentTask) -> Iterator[tuple[str, str]]:
    for index, stage in enumerate(task.spec.stages):
        wrong = evaluate.fault(stage.when, stage=True) if stage.when is not None else None
        if wrong:
            yield f"/spec/stages/{index}/when", f"/spec/stages/{index}/when: {wrong}"


def _check_role(role: AgentRole) -> None:
    found = list(_role_faults(role))
    _refuse(Code.ARGUMENTS_INVALID, "the role cannot be held", "roles.conditions", found)


def _role_faults(role: AgentRole) -> Iterator[tuple[str, str]]:
    for index, rule in enumerate(role.spec.rules):
        faults = {
            "when": evaluate.fault(rule.when) if rule.when is not None else None,
            "arguments": schemas.fault(rule.arguments),
        }
        for member, wrong in faults.items():
            if wrong:
                pointer = f"/spec/rules/{index}/{member}"
                yield pointer, f"{pointer}: {wrong}"


def _refuse(
    code: Code, detail: str, rule: str, causes: list[tuple[str, str]], ask: str | None = None
) -> None:
    if causes:
        raise Denied(code, detail, rule=rule, ask=ask, causes=causes)
