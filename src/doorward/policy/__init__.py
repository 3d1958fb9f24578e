"""The decision: one ordered chain of named, pure checks. Only this package builds a `Permit`.

`decide` answers, `explain` shows each step of the same chain, `visible_actions` lists what exists for
a task, `bound` and `over_limit` word a counter and its no, and the `lint_*` functions find what could
never be held before anybody relies on it.
"""

from __future__ import annotations

from doorward.policy.chain import Step, decide, explain, questions, reaches_parent
from doorward.policy.context import ActionRequest, Approver, Context, GrantFact, GrantState
from doorward.policy.delegation import may_start, too_many
from doorward.policy.evaluate import Question
from doorward.policy.facts import (
    MAX_UPSTREAM,
    Facts,
    Outcome,
    Reading,
    Reference,
    Unreachable,
    Wanted,
    wanted,
)
from doorward.policy.lint import Problem, Vocabulary, lint_connector, lint_role, lint_task
from doorward.policy.reading import Look, look
from doorward.policy.shortage import bound, over_limit
from doorward.policy.visible import VisibleAction, visible_actions

__all__ = [
    "MAX_UPSTREAM",
    "ActionRequest",
    "Approver",
    "Context",
    "Facts",
    "GrantFact",
    "GrantState",
    "Look",
    "Outcome",
    "Problem",
    "Question",
    "Reading",
    "Reference",
    "Step",
    "Unreachable",
    "VisibleAction",
    "Vocabulary",
    "Wanted",
    "bound",
    "decide",
    "explain",
    "lint_connector",
    "lint_role",
    "lint_task",
    "look",
    "may_start",
    "over_limit",
    "questions",
    "reaches_parent",
    "too_many",
    "visible_actions",
    "wanted",
]
