"""Pods of enrolled namespaces: made by the operator alone, holding nothing, exactly as rendered, left alone.

Pure: a review and the surroundings in, a `Refusal` or silence out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from doorward.api.v1alpha1 import GROUP, AgentRole, AgentTask
from doorward.core import redact
from doorward.errors import Code, Refusal
from doorward.render import Difference, Source, identical, mismatch
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.fence import fence
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Denied, Operation, Review
from doorward_webhooks.admission.walk import POD, Violation, walk

CLOSED: Final = frozenset({"attach", "ephemeralcontainers", "exec", "portforward", "proxy", "resize"})
"""Ways into a running pod; closed to everybody."""
_TOLD: Final = 200
_OPEN: Final = frozenset({"eviction"})
"""Ending a pod within its disruption budget is never harder than deleting it: nodes must drain."""


def decide(review: Review, around: Surroundings) -> None:
    """Judge a request for pods or one of their subresources. Raises `Refusal`."""
    if review.operation is Operation.DELETE or review.subresource in _OPEN:
        return
    if review.subresource in CLOSED:
        raise _closed(review)
    if review.subresource == "binding" or review.resource == "bindings":
        _check_binding(review, around)
    elif review.subresource == "status":
        _check_labels(review)
    elif review.subresource:
        raise Refusal(
            Code.RESERVED,
            f"pods/{review.subresource} is not known here, so it is closed",
            rule="pods.subresource",
            ask="read the log of the agent, or ask the ledger what it did",
        )
    elif review.operation is Operation.UPDATE:
        _check_update(review)
    else:
        _check_creation(review, around)


def violations(pod: Mapping[str, Any], root: str, accepted: frozenset[str]) -> tuple[Violation, ...]:
    """Everything that the walk and the fence refuse, but for literals that the role accepts."""
    found = (*walk(pod, root), *fence(pod, root))
    return tuple(item for item in found if not item.fingerprint or item.fingerprint not in accepted)


def _check_creation(review: Review, around: Surroundings) -> None:
    pod = _object(review.object)
    task = _task_of(pod, review.namespace, around)
    role = around.known.role(review.namespace, task.spec.role) if task else None
    found = violations(pod, POD, literals.accepted(role.metadata.annotations) if role else frozenset())
    places = [(item.pointer, str(item)) for item in found]
    if review.user.name != around.operator:
        raise Denied(
            Code.RESERVED,
            "only Doorward's operator makes pods in this namespace: apply an AgentTask",
            rule="pods.creator",
            allowed="pods that the operator makes for an AgentTask",
            causes=places,
        )
    if places:
        raise Denied(Code.HOLDS_SECRET, _counted(len(places)), rule="pods.walk", causes=places)
    if task is None or role is None:
        raise _skew("its AgentTask or AgentRole is not known here (yet)")
    _check_equality(pod, task, role, around)


def _check_equality(pod: Mapping[str, Any], task: AgentTask, role: AgentRole, around: Surroundings) -> None:
    if not around.renderings:
        raise _skew("no render settings have been read yet")
    found = mismatch(pod, Source(task, role, around.known.connectors()), around.renderings)
    if not found:
        return
    raise Denied(
        Code.RENDER_SKEW,
        "the pod is not what its AgentTask renders to",
        rule="pods.equality",
        allowed="the rendered pod without any change, also by other admission webhooks",
        ask="try again: operator or admission may not have seen the latest task, role or settings",
        causes=[(item.pointer, _told(item)) for item in found],
    )


def _told(difference: Difference) -> str:
    """Short, and without what looks like a credential: the message ends up in logs."""
    text = redact.text(str(difference))
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}..."


def _task_of(pod: Mapping[str, Any], namespace: str, around: Surroundings) -> AgentTask | None:
    """The task that controls the pod, if it is known with that very UID."""
    owners = _object(pod.get("metadata")).get("ownerReferences")
    if not isinstance(owners, list) or len(owners) != 1:
        return None
    owner = _object(owners[0])
    if owner.get("kind") != "AgentTask" or str(owner.get("apiVersion", "")).partition("/")[0] != GROUP:
        return None
    task = around.known.task(namespace, str(owner.get("name", "")))
    return task if task is not None and task.metadata.uid == owner.get("uid") else None


def _check_update(review: Review) -> None:
    _check_labels(review)
    if not identical(_object(review.object).get("spec"), _object(review.old).get("spec")):
        raise Refusal(
            Code.RESERVED,
            "spec: a task pod is never changed",
            rule="pods.update",
            ask="delete its AgentTask and apply a new one",
        )


def _check_labels(review: Review) -> None:
    new, old = (_object(_object(found).get("metadata")) for found in (review.object, review.old))
    if not identical(new.get("labels"), old.get("labels")):
        raise Refusal(
            Code.RESERVED,
            "metadata.labels of a task pod never change: NetworkPolicies go by them",
            rule="pods.labels",
            ask="delete its AgentTask and apply a new one",
        )


def _check_binding(review: Review, around: Surroundings) -> None:
    if review.user.name not in around.schedulers:
        raise Refusal(
            Code.RESERVED,
            "only the scheduler places task pods",
            rule="pods.binding",
            allowed=", ".join(sorted(around.schedulers)),
        )


def _closed(review: Review) -> Refusal:
    return Refusal(
        Code.RESERVED,
        f"{review.resource}/{review.subresource} is closed in this namespace: nobody enters a task pod",
        rule="pods.subresource",
        ask="read the log of the agent, or ask the ledger what it did",
    )


def _skew(detail: str) -> Refusal:
    return Refusal(Code.RENDER_SKEW, detail, rule="pods.equality", ask="try again in a moment")


def _counted(count: int) -> str:
    return f"the pod has {count} {'place' if count == 1 else 'places'} that must not be there"


def _object(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
