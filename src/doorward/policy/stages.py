"""Which stage a task is in."""

from __future__ import annotations

from doorward.api.v1alpha1 import Stage
from doorward.policy import evaluate, facts
from doorward.policy.context import Context


def current(context: Context) -> Stage | None:
    """The furthest stage that is open, or None for a task without stages.

    Stages open one after the other: the first at once, each later one when its condition is true. A
    condition that fails leaves the task where it is.
    """
    stages = context.task.spec.stages
    if not stages:
        return None
    known, answer = facts.variables(context), facts.answers(context.facts, None)
    found = stages[0]
    for stage in stages[1:]:
        if stage.when is None or not evaluate.holds(stage.when, known, answer):
            break
        found = stage
    return found
