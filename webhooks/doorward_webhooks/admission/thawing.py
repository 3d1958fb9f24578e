"""Thaws: who may let a frozen task live again."""

from __future__ import annotations

from typing import Final

from doorward.api.v1alpha1 import Thaw
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.people import Allows, check_outside
from doorward_webhooks.admission.review import Review

_GROUP: Final = "doorward.dev"


async def check_thaw(thaw: Thaw, review: Review, around: Surroundings, allows: Allows) -> None:
    """Raise `Refusal` unless this is in one's own name, for somebody else's task, and one may thaw it."""
    user, name = review.user, thaw.spec.task
    if thaw.spec.user != user.name:
        raise _refused("thaws.user", f"spec.user: a Thaw is made in your own name, {user.name}")
    check_outside(user, around, "thaws.user")
    task = around.known.task(review.namespace, name)
    if task is None:
        raise Refusal(
            Code.UNAVAILABLE, f"there is no AgentTask {name} here (yet)", ask="try again in a moment"
        )
    if user.name in {task.spec.requested_by, task.spec.created_by}:
        raise _refused("thaws.distance", "you asked for this task, so somebody else thaws it")
    if not await allows(user, Access("thaw", "agenttasks", _GROUP, review.namespace, name)):
        raise _refused("thaws.verbs", f"you may not thaw: ask for the verb `thaw` on agenttasks/{name}")


def _refused(rule: str, detail: str) -> Refusal:
    return Refusal(Code.RESERVED, detail, rule=rule)
