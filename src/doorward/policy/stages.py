"""Which stage a task is in."""

from __future__ import annotations

from typing import Any

from doorward.api.v1alpha1 import Stage
from doorward.policy import evaluate
from doorward.policy.context import Context


def variables(context: Context) -> dict[str, Any]:
    """What conditions see of the task and the time."""
    task = context.task
    return {
        "outcomes": [outcome.value() for outcome in context.outcomes],
        "now": evaluate.moment(context.now),
        "task": {
            "name": task.metadata.name,
            "namespace": task.metadata.namespace,
            "role": task.spec.role,
            "requestedBy": task.spec.requested_by or "",
            "input": dict(task.spec.input),
        },
    }


def current(context: Context) -> Stage | None:
    """The furthest stage that is open, or None for a task without stages.

    Stages open one after the other: the first at once, each later one when its condition is true. A
    condition that fails leaves the task where it is.
    """
    stages = context.task.spec.stages
    if not stages:
        return None
    known = {"action": "", "args": {}, "resource": {}, **variables(context)}
    found = stages[0]
    for stage in stages[1:]:
        if stage.when is None or not evaluate.holds(stage.when, known):
            break
        found = stage
    return found
