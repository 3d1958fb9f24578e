"""Grants and Approvals: who may ask people, who may answer, and in whose name.

An Approval answers a Grant that is there, and a Grant asks for a task that is there. Everything that
makes an answer count is read from the request and from those, never from what the answer says of itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from doorward.api.v1alpha1 import AgentTask, Approval, Grant, approval_name
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Review, User

Allows = Callable[[User, Access], Awaitable[bool]]
"""Asks the API server whether a user may do something."""

_GROUP: Final = "doorward.dev"
_ACCOUNT: Final = "system:serviceaccount:"
_ACCOUNTS: Final = "system:serviceaccounts:"
_LONGEST: Final = 200
"""Characters of a Grant's name, so that the names of its Approvals fit behind it."""


def check_grant(grant: Grant, review: Review, around: Surroundings) -> None:
    """Raise `Refusal` for a Grant in another's name, by an agent's side, or for another task than it says."""
    if grant.spec.author != review.user.name:
        raise _refused("grants.author", f"spec.author: a Grant is made in your own name, {review.user.name}")
    check_outside(review.user, around, "grants.author")
    if len(grant.metadata.name) > _LONGEST:
        raise Refusal(
            Code.ARGUMENTS_INVALID,
            "metadata.name: the names of Approvals are made from it and would be too long",
            rule="grants.name",
            allowed=f"{_LONGEST} characters",
        )
    task = around.known.task(review.namespace, grant.spec.task.name)
    if task is None:
        raise _absent(f"AgentTask {grant.spec.task.name}")
    _check_same_task(grant, task)


def _check_same_task(grant: Grant, task: AgentTask) -> None:
    spec = grant.spec
    if (spec.task.uid, spec.role.name) != (task.metadata.uid, task.spec.role):
        raise Refusal(
            Code.GRANT_STALE,
            f"the Grant is for another task of this name: AgentTask {spec.task.name} is "
            f"{task.metadata.uid} and has role {task.spec.role}",
            rule="grants.task",
            ask="make the Grant again for the task that is there; an old manifest does not fit a new task",
        )


async def check_approval(approval: Approval, review: Review, around: Surroundings, allows: Allows) -> None:
    """Raise `Refusal` unless this is one's own answer to exactly this Grant, and one may give it."""
    _check_own_name(approval, review)
    grant = around.known.grant(review.namespace, approval.spec.grant)
    if grant is None:
        raise _absent(f"Grant {approval.spec.grant}")
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


def _check_own_name(approval: Approval, review: Review) -> None:
    user, spec = review.user, approval.spec
    if spec.user != user.name:
        raise _refused("approvals.user", f"spec.user: an approval is given in your own name, {user.name}")
    if spec.groups != user.groups:
        raise _refused("approvals.user", "spec.groups: leave them out, they are filled in with your own")
    wanted = approval_name(spec.grant, user.name)
    if approval.metadata.name != wanted:
        raise Refusal(
            Code.RESERVED,
            "metadata.name: each person answers a Grant once, so the name of the answer is made from both",
            rule="approvals.name",
            allowed=wanted,
            ask=f"name it {wanted}, or use `kubectl doorward approve {spec.grant}`",
        )


def _check_distance(grant: Grant, review: Review, around: Surroundings) -> None:
    user = review.user
    if grant.spec.author == user.name:
        raise _refused("approvals.distance", "you made this Grant, so somebody else approves it")
    check_outside(user, around, "approvals.distance")
    task = around.known.task(review.namespace, grant.spec.task.name)
    if task is None:
        raise _absent(f"AgentTask {grant.spec.task.name}")
    if user.name in {task.spec.requested_by, task.spec.created_by}:
        raise _refused(
            "approvals.distance", "you asked for this task, so somebody else approves what it does"
        )


def check_outside(user: User, around: Surroundings, rule: str) -> None:
    """Raise `Refusal` for a service account of a namespace in which agents run."""
    names = [user.name.removeprefix(_ACCOUNT).partition(":")[0]] if user.name.startswith(_ACCOUNT) else []
    names += [group.removeprefix(_ACCOUNTS) for group in user.groups if group.startswith(_ACCOUNTS)]
    inside = next(filter(around.known.enrolled, names), None)
    if inside is not None:
        raise _refused(
            rule, f"agents run in namespace {inside}, so no service account of it asks or answers for people"
        )


async def _check_verbs(grant: Grant, review: Review, allows: Allows) -> None:
    role = grant.spec.role.name

    def access(verb: str, subresource: str = "") -> Access:
        return Access(verb, "agentroles", _GROUP, review.namespace, role, subresource)

    may = await allows(review.user, access("approve"))
    if not may and not await allows(review.user, access("approve", grant.spec.rule)):
        raise _refused(
            "approvals.verbs",
            f"you may not approve for role {role}: ask for the verb `approve` on agentroles/{role}, "
            f"or on agentroles/{grant.spec.rule} of that name for this rule alone",
        )
    if await allows(review.user, access("use")):
        raise _refused(
            "approvals.verbs",
            f"whoever may `use` role {role} does not approve for it: two people are needed",
        )


def _absent(what: str) -> Refusal:
    return Refusal(Code.UNAVAILABLE, f"there is no {what} here (yet)", ask="try again in a moment")


def _refused(rule: str, detail: str) -> Refusal:
    return Refusal(Code.RESERVED, detail, rule=rule)
