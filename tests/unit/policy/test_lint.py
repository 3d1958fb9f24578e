"""What could never be held is found when it is applied."""

from __future__ import annotations

from typing import Any

import pytest
from policyworld import ACTIONS, COMMENT, FORGE, TENANT, connector, role, task

from doorward.policy import Vocabulary, lint_connector, lint_role, lint_task

CATALOGUES = {"code": Vocabulary(connector(TENANT), ACTIONS)}
APPROVAL = {"quorum": 1, "expires": "30m"}
BUDGETS = {"tokens": 5, "spend": "2.00", "bytes": "1Mi", "actions": {"draft": 1}}
GUARD = {"when": "outcomesOf('reviewer').exists(o, o.status == 'succeeded')"}
WIDE = {**COMMENT, "name": "wide", "actions": ["*"]}


def problems(**changes: Any) -> list[str]:
    """What is said about the role with one changed rule."""
    return list(map(str, lint_role(role({**COMMENT, **changes}), CATALOGUES)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"actions": ["*"]},
        {"actions": ["pull.merge"], **GUARD},
        {"actions": ["release.rollback"], "approval": APPROVAL},
        {"actions": ["change.propose"], "limits": {"diffLines": 500, "files": 10}},
        {"arguments": {"type": "object", "properties": {"body": {"maxLength": 120}}}},
        {"when": "outcomes.exists(o, o.rule == 'read')"},
    ],
)
def test_roles_that_can_be_held(changes: dict[str, Any]) -> None:
    """What the actions can hold and the effects allow is accepted."""
    assert problems(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"connector": "chat"}, "rules[comment].connector: there is no Connector chat: apply it"),
        (
            {"actions": ["issue.delete"]},
            "rules[comment].actions: Connector code has no action issue.delete; it has",
        ),
        (
            {"resources": {"path": ["src/**"]}},
            "rules[comment].resources.path: issue.comment cannot hold path, it holds issue",
        ),
        ({"limits": {"diffLines": 5}}, "rules[comment].limits.diffLines: issue.comment cannot measure it"),
        (
            {"actions": ["*"], "resources": {"branch": ["x"]}},
            "rules[comment].actions: `*` reaches nothing here",
        ),
        ({"actions": ["pull.merge"]}, "pull.merge is merge: add an approval, or a condition over facts"),
        (
            {"actions": ["release.deploy"], "when": "args.repo == 'x'"},
            "release.deploy is deploy: add an approval",
        ),
        ({"actions": ["release.rollback"], **GUARD}, "rollback, which always needs people: add an approval"),
        ({"actions": ["repository.delete"], **GUARD}, "destroy, which always needs people: add an approval"),
        (
            {"arguments": {"$ref": "#"}},
            "rules[comment].arguments: keyword '$ref' cannot be used here; usable:",
        ),
        ({"when": "nobody == 1"}, "rules[comment].when: "),
        ({"when": "action"}, "yields STRING"),
    ],
)
def test_roles_that_cannot(changes: dict[str, Any], expected: str) -> None:
    """A rule that nobody could hold, or an effect without its guard, is named with the remedy."""
    assert [text for text in problems(**changes) if expected in text] != []


def test_shared_ci_turns_changes_into_deployments() -> None:
    """Where CI runs agents' branches with privileges, proposing a change needs the guard of a deployment."""
    shared = {"code": Vocabulary(connector(TENANT, ci="shared"), ACTIONS)}
    found = lint_role(role({**COMMENT, "actions": ["change.propose"]}), shared)

    assert ["change.propose is deploy" in str(problem) for problem in found] == [True]


def test_a_role_without_images() -> None:
    """A role that accepts no image runs no task, and says so."""
    found = lint_role(role(COMMENT, agent={}), CATALOGUES)

    assert [problem.at for problem in found] == ["agent.images"]


STAGES = [{"name": "plan", "rules": ["comment"]}, {"name": "act", "rules": ["comment"], "when": "true"}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"stages": STAGES}, []),
        ({"agent": {"image": "other.example/a:1"}}, ["agent.image"]),
        (
            {"agent": {"image": "registry.example/agents/a:1", "runtimeClassName": "kata"}},
            ["agent.runtimeClassName"],
        ),
        ({"stages": [{"name": "plan", "rules": ["merge"]}]}, ["stages[plan].rules"]),
        ({"stages": [{**STAGES[0], "when": "true"}]}, ["stages[plan].when"]),
        ({"stages": [STAGES[0], {**STAGES[1], "when": "nobody"}]}, ["stages[act].when"]),
        ({"stages": [STAGES[0], {"name": "act", "rules": ["comment"]}]}, ["stages[act].when"]),
    ],
)
def test_tasks(spec: dict[str, Any], expected: list[str]) -> None:
    """A task that its role cannot run is told which line is in the way."""
    assert expected == [problem.at for problem in lint_task(task(**spec), role(COMMENT), CATALOGUES)]


def test_a_connector_with_another_catalogue() -> None:
    """A Connector that pins another catalogue learns the hash to review and pin."""
    found = lint_connector(connector(TENANT), "sha256:other")

    assert ["sha256:other" in str(problem) for problem in found] == [True]
    assert lint_connector(connector(TENANT), FORGE.hash) == ()


def test_a_budget_that_nobody_holds_is_refused() -> None:
    """Where no action of the role counts tokens or money, a task that relies on them does not run."""
    found = lint_task(task(budgets=BUDGETS), role(COMMENT), CATALOGUES)

    assert [problem.at for problem in found] == ["budgets.tokens", "budgets.spend"]


def test_lint_says_why_a_condition_guards_nothing() -> None:
    """The author of a role reads in a sentence what in the condition its agents could make true."""
    by_time = {**COMMENT, "actions": ["pull.merge"], "when": "now.getHours() < 17"}
    reviews = "facts.reviews(resource.pull).exists(r, r.approved)"
    found = list(
        map(str, lint_role(role(by_time, {**by_time, "name": "own", "when": reviews}, WIDE), CATALOGUES))
    )

    assert ["nobody but the agent has spoken" in found[0], "role fixer makes reviews itself" in found[1]] == [
        True,
        True,
    ]


def test_a_budget_that_an_action_counts_is_taken() -> None:
    """The rule names an action whose type says how much it may use."""
    assert lint_task(task(budgets=BUDGETS), role({**COMMENT, "actions": ["model.ask"]}), CATALOGUES) == ()


@pytest.mark.parametrize(
    ("ceilings", "expected"),
    [
        ({"open": {"issue": 1}}, ["ceilings.open.issue"]),
        ({"tokensPerDay": 5}, ["ceilings.tokensPerDay"]),
        ({"spendPerDay": "1"}, ["ceilings.spendPerDay"]),
        ({"perRequester": {"tokensPerDay": 5}}, ["ceilings.perRequester.tokensPerDay"]),
        ({"perMinute": 1, "perDay": 1, "tasks": 1, "perRequester": {"perDay": 1, "tasks": 1}}, []),
    ],
)
def test_a_ceiling_that_nobody_holds_is_refused(ceilings: dict[str, Any], expected: list[str]) -> None:
    """A role that reads and comments makes nothing that stays open, and uses no model."""
    assert expected == [problem.at for problem in lint_role(role(COMMENT, ceilings=ceilings), CATALOGUES)]


def test_a_ceiling_that_an_action_counts_is_taken() -> None:
    """Opening issues and asking a model are counted by what their types declare."""
    rules = ({**COMMENT, "actions": ["issue.open"]}, {**COMMENT, "name": "ask", "actions": ["model.ask"]})
    ceilings = {"open": {"issue": 1}, "tokensPerDay": 5, "spendPerDay": "1"}

    assert lint_role(role(*rules, ceilings=ceilings), CATALOGUES) == ()
