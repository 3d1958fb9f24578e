"""Our own kinds, in every namespace: what the schema and the policies in the cluster cannot judge.

Nothing here wants another object to be there, but for an Approval, which answers one that is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from doorward.api.v1alpha1 import AgentRole, AgentTask, Approval, Grant
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward.policy import evaluate, schemas
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Denied, Operation, Review, User

Allows = Callable[[User, Access], Awaitable[bool]]
"""Asks the API server whether a user may do something."""

_GROUP = "doorward.dev"
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
            await _check_approval(Approval.parse(_whole(review)), review, around, allows)
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


async def _check_approval(approval: Approval, review: Review, around: Surroundings, allows: Allows) -> None:
    if approval.spec.user != review.user.name:
        raise _not_yours(f"spec.user: an approval is given in your own name, {review.user.name}")
    grant = around.known.grant(review.namespace, approval.spec.grant)
    if grant is None:
        raise Refusal(
            Code.UNAVAILABLE,
            f"there is no Grant {approval.spec.grant} here (yet)",
            ask="try again in a moment",
        )
    if grant.spec.digest != approval.spec.digest:
        raise Refusal(
            Code.GRANT_STALE,
            "spec.digest is not the one of the Grant: something else would be approved than was seen",
            rule="approvals.digest",
            allowed=grant.spec.digest,
            ask="read the Grant again",
        )
    _check_distance(grant, review, around)
    await _check_verbs(grant, review, allows)


def _check_distance(grant: Grant, review: Review, around: Surroundings) -> None:
    task = around.known.task(review.namespace, grant.spec.task.name)
    if task is not None and task.spec.requested_by == review.user.name:
        raise _not_yours("you asked for this task, so somebody else approves what it does")


async def _check_verbs(grant: Grant, review: Review, allows: Allows) -> None:
    role = grant.spec.role.name

    def access(verb: str, subresource: str = "") -> Access:
        return Access(verb, "agentroles", _GROUP, review.namespace, role, subresource)

    may = await allows(review.user, access("approve"))
    if not may and not await allows(review.user, access("approve", grant.spec.rule)):
        raise _not_yours(
            f"you may not approve for role {role}: ask for the verb `approve` on agentroles/{role}, "
            f"or on agentroles/{grant.spec.rule} of that name for this rule alone"
        )
    if await allows(review.user, access("use")):
        raise _not_yours(f"whoever may `use` role {role} does not approve for it: two people are needed")


def _not_yours(detail: str) -> Refusal:
    return Refusal(Code.RESERVED, detail, rule="approvals.user")
