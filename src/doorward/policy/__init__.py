"""The decision: one ordered chain of named, pure checks. Only this package builds a `Permit`.

`decide` answers, `explain` shows each step of the same chain, `visible_actions` lists what exists for
a task, `bound` and `over_limit` word a counter and its no, and the `lint_*` functions find what could
never be held before anybody relies on it.
"""

from __future__ import annotations

from doorward.policy.chain import Step, decide, explain
from doorward.policy.context import ActionRequest, Approver, Context, GrantFact, GrantState
from doorward.policy.delegation import may_start, too_many
from doorward.policy.facts import Facts, Outcome, Reference, Wanted, wanted
from doorward.policy.lint import Problem, Vocabulary, lint_connector, lint_role, lint_task
from doorward.policy.shortage import bound, over_limit
from doorward.policy.visible import VisibleAction, visible_actions

__all__ = [
    "ActionRequest",
    "Approver",
    "Context",
    "Facts",
    "GrantFact",
    "GrantState",
    "Outcome",
    "Problem",
    "Reference",
    "Step",
    "VisibleAction",
    "Vocabulary",
    "Wanted",
    "bound",
    "decide",
    "explain",
    "lint_connector",
    "lint_role",
    "lint_task",
    "may_start",
    "over_limit",
    "too_many",
    "visible_actions",
    "wanted",
]
