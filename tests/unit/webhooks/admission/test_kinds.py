"""Our own kinds: no credential in a task, no condition that cannot hold."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from admissionworld import role_document, task_document

from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.kinds import decide
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Denied, Operation, User

ALICE = User("alice")


async def nobody(user: User, access: Access) -> bool:
    """Nobody may do anything."""
    return False


async def refused(review: Any, around: Surroundings, allows: Any = nobody) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await decide(review, around, allows)
    return caught.value


def places(refusal: Refusal) -> list[str]:
    return [pointer for pointer, _ in refusal.causes] if isinstance(refusal, Denied) else []


def of(resource: str, document: dict[str, Any], ask: Any, **changes: Any) -> Any:
    """A question about an object of ours."""
    return ask(group="doorward.dev", resource=resource, object=document, user=ALICE, **changes)


async def test_a_task_needs_nothing_else_to_be_there(ask: Any, around: Surroundings, objects: Any) -> None:
    """Tools apply roles, connectors and tasks in any order."""
    objects.roles.clear()
    objects.all_connectors.clear()

    assert await decide(of("agenttasks", task_document(), ask), around, nobody) is None


async def test_every_credential_in_a_task_is_named(ask: Any, around: Surroundings) -> None:
    """Input, variables, command and arguments are searched, and all of it is told at once."""
    key = "AKIAIOSFODNN7EXAMPLE"
    agent = {"image": "x", "command": [key], "args": [key], "env": [{"name": "A", "value": key}]}
    task = task_document(agent=agent, input={"notes": {key: [key]}})

    assert places(await refused(of("agenttasks", task, ask), around)) == [
        f"/spec/input/notes/{key}",
        f"/spec/input/notes/{key}/0",
        "/spec/agent/command/0",
        "/spec/agent/args/0",
        "/spec/agent/env/0/value",
    ]


async def test_a_stage_that_can_never_open_is_refused(ask: Any, around: Surroundings) -> None:
    """A condition is compiled when it is applied."""
    task = task_document(stages=[{"name": "a", "rules": ["comment"], "when": "outcomes.exists("}])

    assert places(await refused(of("agenttasks", task, ask), around)) == ["/spec/stages/0/when"]


async def test_a_role_whose_conditions_cannot_be_evaluated_is_refused(ask: Any, around: Surroundings) -> None:
    """CEL must compile to a boolean and JSON Schemas must compile, or the rule could never be held."""
    rules = [
        {"name": "a", "connector": "code", "actions": ["issue.read"], "when": "1 + 1"},
        {"name": "b", "connector": "code", "actions": ["issue.read"], "arguments": {"pattern": "("}},
        {"name": "c", "connector": "code", "actions": ["issue.read"], "when": "args.title != ''"},
    ]
    refusal = await refused(of("agentroles", role_document(rules=rules), ask), around)

    assert places(refusal) == ["/spec/rules/0/when", "/spec/rules/1/arguments"]


@pytest.mark.parametrize("resource", ["agenttasks", "agentroles", "grants", "approvals"])
async def test_finalizers_status_and_deletion_always_pass(
    resource: str, ask: Any, around: Surroundings
) -> None:
    """Nothing of ours keeps an object from going away, however wrong its spec is by today's rules."""
    old = {"metadata": {"finalizers": ["x"]}, "spec": {"nonsense": True}}
    new = {"metadata": {}, "spec": {"nonsense": True}}
    update = of(resource, new, ask, operation=Operation.UPDATE, old=old)

    assert await decide(update, around, nobody) is None
    assert await decide(dataclasses.replace(update, subresource="status"), around, nobody) is None
    assert await decide(of(resource, old, ask, operation=Operation.DELETE), around, nobody) is None


async def test_another_kind_is_refused(ask: Any, around: Surroundings) -> None:
    """A rule that sends us something else is a mistake that fails closed."""
    assert (await refused(of("connectors", {"spec": {}}, ask), around)).code is Code.MALFORMED
