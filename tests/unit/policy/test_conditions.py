"""Conditions in the chain: about people who approved, about other roles, about what was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from policyworld import COMMENT, REVIEWED, comment, context

from doorward.core import digest
from doorward.core.action import Action
from doorward.core.decision import Denial
from doorward.errors import Code
from doorward.policy import ActionRequest, Approver, Context, Facts, GrantFact, Outcome, Reference, decide

PEOPLE = {"quorum": 2, "expires": "10m"}
SEEN = "references.exists(r, r.action == 'issue.query' && r.kind == 'issue' && r.id == string(resource.issue)"
"""The clause of an agent that may read only what its permitted query showed."""


def grant(found: Context) -> GrantFact:
    """A Grant for the comment of the small world that bob and carol agreed to."""
    resource = {"repository": "acme/web", "issue": 7}
    return GrantFact(
        uid="grant-1",
        rule="comment",
        connector="code",
        action="issue.comment",
        digest=digest.of(Action("code", "issue.comment", resource, comment().args)),
        policy_hash=found.policy_hash,
        state="active",
        quorum=2,
        uses=0,
        max_uses=1,
        expires_at=found.now + 60,
        approved=(Approver("bob", 1.0), Approver("carol", 2.0)),
    )


def code(
    rule: dict[str, Any], facts: Facts | None = None, request: ActionRequest | None = None
) -> Code | None:
    """What the comment of the small world comes to."""
    found = decide(request or comment(), context({**COMMENT, **rule}, facts=facts or Facts()))
    return found.code if isinstance(found, Denial) else None


def asked(when: str, *, agreed: bool) -> Code | None:
    """What a comment comes to that people must approve."""
    before = context({**COMMENT, "approval": PEOPLE, "when": when})
    found = decide(comment(), replace(before, grants=(grant(before),) if agreed else ()))
    return found.code if isinstance(found, Denial) else None


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("approvals.exists(a, a.user == 'carol')", None),
        ("approvals.exists(a, a.user == 'dave')", Code.CONDITION_FALSE),
        ("approvals.exists(a, a.at == 2)", None),
        ("approvals.size() == 2 && args.body == 'other'", Code.CONDITION_FALSE),
    ],
)
def test_who_must_be_among_them(when: str, expected: Code | None) -> None:
    """A condition about the people is asked once they have agreed, and of them alone."""
    assert expected == asked(when, agreed=True)


def test_people_are_asked_before_a_condition_about_them() -> None:
    """Nobody has agreed yet: the no is that people must, and not that a condition about them is untrue."""
    assert asked("approvals.exists(a, a.user == 'carol')", agreed=False) == Code.APPROVAL_REQUIRED


def test_without_a_demand_nobody_has_agreed() -> None:
    """A condition about people under a rule that asks none is never true, a plain rule beside it counts."""
    assert code({"when": "approvals.exists(a, a.user == 'carol')"}) == Code.CONDITION_FALSE


def test_people_agree_under_one_rule() -> None:
    """Where the condition of the rule they were asked under is untrue of them, no other rule profits."""
    wanted = {**COMMENT, "approval": PEOPLE, "when": "approvals.exists(a, a.user == 'dave')"}
    before = context(wanted, {**COMMENT, "name": "other", "approval": {**PEOPLE, "quorum": 3}})
    found = decide(comment(), replace(before, grants=(grant(before),)))

    assert isinstance(found, Denial)
    assert found.code == Code.CONDITION_FALSE


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"repository": "acme/web"}, None),
        ({"repository": "acme/web", "issue": 7}, None),
        ({"repository": "acme/web", "issue": 8}, Code.CONDITION_FALSE),
        ({"repository": "acme/api"}, Code.CONDITION_FALSE),
        ({"repository": "acme/web", "pull": 7}, Code.CONDITION_FALSE),
        ({}, Code.CONDITION_FALSE),
    ],
)
def test_others_speak_of_the_same_thing(resource: dict[str, Any], expected: Code | None) -> None:
    """What another role did counts where it was done to what the action is about, and to nothing else."""
    facts = Facts(others={"reviewer": (replace(REVIEWED, resource=resource),)})

    assert expected == code({"when": "outcomesOf('reviewer').exists(o, o.task == 'r')"}, facts)


def test_a_role_that_was_not_looked_up_has_done_nothing_known() -> None:
    """Without an answer the condition has no value, also where none would make it true."""
    assert code({"when": "outcomesOf('tester').size() == 0"}) == Code.CONDITION_FALSE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"id": "8"}, Code.CONDITION_FALSE),
        ({"kind": "comment"}, Code.CONDITION_FALSE),
        ({"action": "issue.comment"}, Code.CONDITION_FALSE),
        ({"resource": {"repository": "acme/api"}}, Code.CONDITION_FALSE),
    ],
)
def test_only_what_was_shown(changes: dict[str, Any], expected: Code | None) -> None:
    """An issue may be touched when the task's query of the same repository showed it."""
    seen = Reference("issue", "7", "code", "issue.query", {"repository": "acme/web"}, 1.0)
    when = SEEN + " && r.resource.repository == resource.repository)"

    assert expected == code({"when": when}, Facts(references=(replace(seen, **changes),)))


def test_use_is_counted_by_rule_and_effect() -> None:
    """Rules and effects that were not used yet are there with zero."""
    never = code({"when": "usage.rules.comment == 0 && usage.effects.draft == 0"})
    spent = Facts(spent={("comment", "draft"): 2, ("gone", "draft"): 1})

    assert [never, code({"when": "usage.rules.comment == 2 && usage.effects.draft == 3"}, spent)] == [
        None,
        None,
    ]


def test_stages_see_all_of_another_role() -> None:
    """A stage is about no action: its condition chooses among all that the role did."""
    stages = [
        {"name": "plan", "rules": ["read"]},
        {
            "name": "act",
            "rules": ["comment"],
            "when": "outcomesOf('reviewer').exists(o, o.resource.issue == 9)",
        },
    ]
    done = Outcome("r", "code", "issue.comment", "succeeded", {"repository": "acme/board", "issue": 9})
    found = [
        decide(comment(), context(task_spec={"stages": stages}, facts=Facts(others={"reviewer": others})))
        for others in ((), (done,))
    ]

    assert [getattr(item, "code", None) for item in found] == [Code.WRONG_STAGE, None]
