"""Workloads of enrolled namespaces: refused when they are applied, not when their pods fail to appear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from doorward.errors import Code, Refusal
from doorward.render import identical
from doorward_webhooks.admission.pods import violations
from doorward_webhooks.admission.review import Denied, Operation, Review
from doorward_webhooks.admission.walk import TEMPLATE

PLACES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("", "podtemplates"): ("template",),
}
"""Group and resource to the place of the pod template."""


def decide(review: Review) -> None:
    """Judge a workload. Raises `Refusal` unless only something else than its template changes."""
    if review.operation is Operation.DELETE or review.subresource in {"status", "scale"}:
        return
    place = PLACES.get((review.group, review.resource))
    if place is None:
        raise Refusal(Code.MALFORMED, f"{review.resource} is no workload that is known here")
    template = _at(review.object, place)
    if review.operation is Operation.UPDATE and identical(template, _at(review.old, place)):
        return
    prefix = "/" + "/".join(place)
    found = violations(template, TEMPLATE, frozenset())
    raise Denied(
        Code.RESERVED,
        f"{review.resource} make no pods in this namespace: only Doorward's operator does",
        rule="templates.creator",
        allowed="an AgentTask, or the same object in a namespace that is not enrolled",
        causes=[(prefix + item.pointer, prefix + str(item)) for item in found],
    )


def _at(found: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if found is not None else {}
