"""Children: who may start them, and that no child can do what its parent cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policyworld import COMMENT, TENANT, ask, comment, context, role, task

from doorward.core.decision import Denial, Permit, Reservation
from doorward.core.effect import Effect
from doorward.errors import Code
from doorward.policy import (
    ActionRequest,
    Context,
    Facts,
    Question,
    Reading,
    decide,
    explain,
    may_start,
    too_many,
    visible_actions,
)

DELEGATES = {"delegation": {"roles": ["fixer", "tester"], "depth": 1, "tasks": 2}}


GLOBS = st.lists(st.sampled_from(["acme/*", "*/web", "acme/web", "other/?eb"]), min_size=1, max_size=2)
RULES = st.builds(
    lambda actions, globs: {"connector": "code", "actions": actions, "resources": {"repository": globs}},
    st.lists(st.sampled_from(["issue.read", "issue.query", "*"]), min_size=1, max_size=2, unique=True),
    GLOBS,
)
WORLDS = st.fixed_dictionaries(
    {
        "rules": st.lists(RULES, min_size=1, max_size=3),
        "scope": st.one_of(st.none(), GLOBS),
        "forbid": st.one_of(st.none(), GLOBS),
    }
)
REQUESTS = st.builds(
    lambda action, repository: ActionRequest("code", action, {"owner": repository[0], "repo": repository[1]}),
    st.just("issue.query"),
    st.sampled_from([("acme", "web"), ("acme", "api"), ("other", "web")]),
)


def built(world: dict[str, Any]) -> Context:
    """The context that a world describes."""
    rules = [{**rule, "name": f"rule-{index}"} for index, rule in enumerate(world["rules"])]
    forbid = {"repositories": world["forbid"]} if world["forbid"] else {}
    scope = {"repositories": world["scope"]} if world["scope"] else {}
    wide = {**TENANT, "resources": {"repository": ["**"]}}
    return context(tenants=(wide,), role_spec={"rules": rules, "forbid": forbid}, task_spec={"scope": scope})


def child_of(parent: Context, child: Context) -> Context:
    """The second context as a child of the first."""
    spec = child.task.model_dump(mode="json", by_alias=True, exclude_none=True)["spec"]
    named = {"name": "fix", "uid": parent.task.metadata.uid}
    made = task(**{**spec, "parent": named})
    metadata = made.metadata.model_copy(update={"uid": "child-of-" + parent.task.metadata.uid})
    return replace(child, task=made.model_copy(update={"metadata": metadata}), parent=parent)


def delegating(**delegation: Any) -> Context:
    """A task whose role starts tasks."""
    return context(role_spec={"delegation": {**DELEGATES["delegation"], **delegation}})


def denied(found: object) -> Denial:
    assert isinstance(found, Denial)
    return found


@given(WORLDS, WORLDS, REQUESTS)
def test_no_child_can_do_what_its_parent_cannot(
    above: dict[str, Any], below: dict[str, Any], request_: ActionRequest
) -> None:
    """Whatever the two roles and scopes are, a child's permit is one of its parent too."""
    parent, child = built(above), built(below)
    alone = isinstance(decide(request_, child), Permit)
    allowed = isinstance(decide(request_, parent), Permit)
    found = isinstance(decide(request_, child_of(parent, child)), Permit)

    assert found == (alone and allowed)


@given(WORLDS, REQUESTS, st.integers(1, 3))
def test_authority_only_shrinks_down_the_line(
    world: dict[str, Any], request_: ActionRequest, depth: int
) -> None:
    """A line of tasks of one role may exactly what the first one may."""
    line = built(world)
    for _ in range(depth):
        line = child_of(line, built(world))

    alone = isinstance(decide(request_, built(world)), Permit)

    assert isinstance(decide(request_, line), Permit) == alone


@pytest.mark.parametrize("how", ["ended", "frozen", "revoked"])
def test_a_child_stops_with_its_parent(how: str) -> None:
    """What stops the parent stops whatever it started."""
    stopped = child_of(replace(context(), **{how: True}), context())

    assert denied(decide(comment(), stopped)).detail.startswith("the task that started this one may not")


def test_a_child_uses_up_its_parents_room() -> None:
    """Its actions count for both, so that children multiply nothing."""
    limited = {**COMMENT, "limits": {"perTask": 3}}
    found = decide(comment(), child_of(context(limited), context(limited)))

    assert isinstance(found, Permit)
    assert sorted(item.key for item in found.reservations) == [
        "task:child-of-task-1/rule:comment",
        "task:task-1/rule:comment",
    ]


def test_the_parents_part_is_explained() -> None:
    """The last step of a child's explanation is its parent."""
    parent = context(task_spec={"scope": {"repositories": ["acme/api"]}})
    last = explain(comment(), child_of(parent, context()))[-1]

    assert (last.check, last.reached) == ("within", True)
    assert denied(last.denial).code is Code.OUT_OF_SCOPE


def test_an_unreached_parent_is_said_so() -> None:
    """Where the child's own chain says no, its parent is not asked."""
    child = context(task_spec={"scope": {"repositories": ["acme/api"]}})
    last = explain(comment(), child_of(context(), child))[-1]

    assert (last.check, last.reached, last.denial) == ("within", False, None)


def test_a_parent_is_asked_before_people_are() -> None:
    """Where the child lacks only people's agreement, explanation and decision say what the parent may."""
    approval = {"quorum": 1, "expires": "5m"}
    child = context({**COMMENT, "approval": approval})
    line = child_of(context(task_spec={"scope": {"repositories": ["acme/api"]}}), child)
    last = explain(comment(), line)[-1]

    assert (last.check, last.reached) == ("within", True)
    assert last.denial == decide(comment(), line)
    assert denied(last.denial).code is Code.OUT_OF_SCOPE


def test_a_child_takes_the_facts_of_both() -> None:
    """What the answers of child and parent rest on must both read the same right before the call."""
    when = "facts.checks(resource.environment).all(c, c.green) && args.owner != 'nobody'"
    rule = {"name": "merge", "connector": "code", "actions": ["pull.merge"], "when": when}
    wide = {**TENANT, "effects": [effect.value for effect in Effect]}
    contexts = []
    for said in ("sha256:1", "sha256:2", "sha256:1"):
        reading = Reading([{"green": True}], "check.read", {"commit": "abc1"}, said)
        facts = Facts(upstream={Question("facts.checks", "abc1"): reading})
        contexts.append(replace(context(rule, tenants=(wide,)), facts=facts))
    first, second, third = contexts
    found = decide(ask("pull.merge", environment="abc1"), child_of(child_of(third, second), first))

    assert isinstance(found, Permit), found
    assert [fact["digest"] for fact in found.caveats["facts"]] == ["sha256:1", "sha256:2"]


def test_a_child_sees_what_its_parent_sees() -> None:
    """What the parent's role does not name does not exist for the child."""
    wide = context({**COMMENT, "actions": ["issue.comment", "issue.read"]})

    assert [row.action for row in visible_actions(child_of(context(), wide))] == ["issue.comment"]


def test_a_context_without_its_parent_is_refused() -> None:
    """Nobody forgets a parent by accident."""
    child = child_of(context(), context())

    with pytest.raises(ValueError, match="names parent"):
        replace(child, parent=None)


def test_a_role_that_says_so_starts_tasks() -> None:
    """Room for as many children as the role says."""
    assert Reservation("task:task-1/children", 2) == may_start("tester", delegating())


@pytest.mark.parametrize("wanted", ["admin", "Fixer", ""])
def test_other_roles_are_not_started(wanted: str) -> None:
    """Deny by default; the no names the roles that may be."""
    found = denied(may_start(wanted, delegating()))

    assert (found.code, found.rule, found.allowed) == (Code.NO_RULE, "delegation", "fixer, tester")


def test_a_role_without_delegation_starts_none() -> None:
    """Deny by default."""
    assert denied(may_start("fixer", context())).allowed == "no tasks"


@pytest.mark.parametrize("now", [None, role(COMMENT), role(COMMENT, delegation={"roles": ["fixer"]})])
def test_narrowing_acts_at_once(now: Any) -> None:
    """A role that is gone, or that delegates less now, starts less now."""
    assert denied(may_start("tester", replace(delegating(), current_role=now))).code is Code.NO_RULE


def test_the_line_ends_where_any_role_above_says() -> None:
    """A grandchild needs depth 2 of the first task's role, whatever the second one's role says."""
    shallow = child_of(delegating(depth=1), delegating(depth=3))
    deep = child_of(delegating(depth=2), delegating(depth=1))

    assert denied(may_start("fixer", shallow)).code is Code.LIMIT_EXCEEDED
    assert isinstance(may_start("fixer", deep), Reservation)


@pytest.mark.parametrize("how", ["ended", "frozen", "revoked"])
def test_a_stopped_line_starts_nothing(how: str) -> None:
    """Neither a stopped task nor one below it starts another."""
    stopped = replace(delegating(depth=3), **{how: True})

    assert isinstance(may_start("fixer", stopped), Denial)
    assert isinstance(may_start("fixer", child_of(stopped, delegating())), Denial)


def test_too_many_children_are_said_so() -> None:
    """The no of the counter says how many there were."""
    found = too_many(Reservation("task:task-1/children", 2), 2)

    assert (found.code, found.detail) == (Code.LIMIT_EXCEEDED, "2 of 2 tasks started in the life of the task")


def test_the_policy_hash_covers_the_line() -> None:
    """What was decided under one parent is not what is decided under another."""
    first = child_of(context(), context())
    second = child_of(context(task_spec={"scope": {"repositories": ["acme/*"]}}), context())

    assert len({first.policy_hash, second.policy_hash, context().policy_hash}) == 3


def test_what_people_must_agree_to_is_not_handed_down() -> None:
    """A Grant is for one task: a child is not told to ask for what its parent would have to ask for."""
    parent = context({**COMMENT, "approval": {"quorum": 1}})

    assert denied(decide(comment(), child_of(parent, context()))).code is Code.NO_RULE


def test_nobody_is_asked_about_what_the_parent_may_not_do() -> None:
    """A child's own demand for people comes after its parent's no."""
    asking = context({**COMMENT, "approval": {"quorum": 1}})
    narrow = context(task_spec={"scope": {"repositories": ["acme/api"]}})

    assert denied(decide(comment(), child_of(narrow, asking))).code is Code.OUT_OF_SCOPE
    assert denied(decide(comment(), child_of(context(), asking))).code is Code.APPROVAL_REQUIRED
