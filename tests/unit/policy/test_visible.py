"""What no rule names does not exist for the agent."""

from __future__ import annotations

from typing import Any

import pytest
from policyworld import COMMENT, SELECTOR, TENANT, comment, context, done, role

from doorward.core.decision import Holder, Permit, Reservation
from doorward.core.effect import Effect
from doorward.policy import Facts, decide, visible_actions

READ = {"name": "read", "connector": "code", "actions": ["issue.read"]}
APPROVAL = {"quorum": 1, "expires": "30m"}
STAGES = [
    {"name": "plan", "rules": ["read"]},
    {"name": "act", "rules": ["comment"], "when": "outcomes.exists(o, o.rule == 'read')"},
]


def names(*rules: dict[str, Any], **changes: Any) -> list[str]:
    """The actions that are listed."""
    return [row.action for row in visible_actions(context(*rules, **changes))]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["issue.read", "issue.comment"]),
        ({"tenants": ({**TENANT, "effects": ["read"]},)}, ["issue.read"]),
        ({"tenants": ()}, []),
        ({"namespace_labels": {}}, []),
        ({"current_role": role(READ)}, ["issue.read"]),
        ({"pinned_role": role(READ)}, ["issue.read"]),
        ({"current_role": None}, []),
        ({"connector": None}, []),
        ({"catalogue_hash": "sha256:other"}, []),
        ({"ended": True}, []),
        ({"frozen": True}, []),
        ({"revoked": True}, []),
        ({"task_spec": {"stages": STAGES}}, ["issue.read"]),
        ({"task_spec": {"stages": STAGES}, "facts": Facts(outcomes=(done("read"),))}, ["issue.comment"]),
    ],
)
def test_what_is_listed(changes: dict[str, Any], expected: list[str]) -> None:
    """The list holds what both readings of the role name, below the ceiling, in this stage."""
    assert expected == names(READ, COMMENT, **changes)


def test_a_star_lists_reversible_actions_only() -> None:
    """`*` shows what it reaches, and nothing above draft."""
    everything = {"namespaces": SELECTOR, "effects": [effect.value for effect in Effect]}
    star = {"name": "any", "connector": "code", "actions": ["*"]}
    found = visible_actions(context(star, tenants=(everything,)))

    assert {Effect.READ, Effect.DRAFT} == {row.effect for row in found}


def test_a_row_tells_its_bounds() -> None:
    """A row shows the rule, where it reaches, what the arguments may be and which counters it takes from."""
    narrowed = {**COMMENT, "limits": {"perTask": 3}, "arguments": {"properties": {"body": {"maxLength": 9}}}}
    row = visible_actions(context(narrowed))[0]

    assert (row.connector, row.rule, row.quorum) == ("code", "comment", 0)
    assert dict(row.resources) == {"repository": ("acme/*",)}
    assert row.reservations == (
        Reservation("task:task-1/rule:comment", 3, holder=Holder.RULE, name="comment"),
    )
    assert isinstance(row.arguments["allOf"], list)


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": {"approval": APPROVAL}},
        {"tenants": ({**TENANT, "approval": APPROVAL},)},
        {"tenants": (TENANT, {**TENANT, "approval": APPROVAL})},
        {"cautious": True},
    ],
)
def test_what_needs_people_says_so(changes: dict[str, Any]) -> None:
    """An action that waits for people is listed as such, and is not simply permitted."""
    found = context(
        {**COMMENT, **changes.get("rule", {})},
        tenants=changes.get("tenants", (TENANT,)),
        cautious=changes.get("cautious", False),
    )

    assert [row.quorum for row in visible_actions(found)] == [1]
    assert not isinstance(decide(comment(), found), Permit)
