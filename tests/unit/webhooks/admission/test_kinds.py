"""Our own kinds: no credential in a task, no condition that cannot hold, no approval in another's name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from admissionworld import DIGEST, role_document, task_document

from doorward.api.v1alpha1 import AgentTask, Grant
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.kinds import decide
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Denied, Operation, User

ALICE = User("alice")


async def nobody(user: User, access: Access) -> bool:
    """Nobody may do anything."""
    return False


class May:
    """Lets users do exactly these verbs; a verb may carry a subresource."""

    def __init__(self, *verbs: str) -> None:
        self.verbs = verbs
        self.asked: list[Access] = []

    async def __call__(self, _: User, access: Access) -> bool:
        """Whether it is one of the verbs."""
        self.asked.append(access)
        return "/".join(part for part in (access.verb, access.subresource) if part) in self.verbs


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


@pytest.mark.parametrize("resource", ["agenttasks", "agentroles", "approvals"])
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


def approval(**spec: Any) -> dict[str, Any]:
    base = {"grant": "grant-1", "digest": DIGEST, "decision": "Approve", "user": "alice"}
    return {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": "a", "namespace": "agents"},
        "spec": {**base, **spec},
    }


@pytest.mark.parametrize("verb", ["approve", "approve/merge"])
async def test_an_approver_may_answer_in_their_own_name(verb: str, ask: Any, around: Surroundings) -> None:
    """The verb `approve` on the role, or on one rule of it as a subresource, is what it takes."""
    assert await decide(of("approvals", approval(), ask), around, May(verb)) is None


@pytest.mark.parametrize(
    ("spec", "verbs", "code"),
    [
        ({"user": "bob"}, ("approve",), Code.RESERVED),
        ({"user": None}, ("approve",), Code.RESERVED),
        ({}, (), Code.RESERVED),
        ({}, ("approve/comment",), Code.RESERVED),
        ({}, ("approve", "use"), Code.RESERVED),
        ({"digest": "sha256:" + "1" * 64}, ("approve",), Code.GRANT_STALE),
        ({"grant": "grant-2"}, ("approve",), Code.UNAVAILABLE),
    ],
)
async def test_an_approval_that_is_not_ones_own_to_give_is_refused(
    spec: dict[str, Any], verbs: tuple[str, ...], code: Code, ask: Any, around: Surroundings
) -> None:
    """Another's name, no verb, another rule's verb, a user of the role, another digest, no Grant."""
    refusal = await refused(of("approvals", approval(**spec), ask), around, May(*verbs))

    assert refusal.code is code


async def test_the_requester_does_not_approve(ask: Any, around: Surroundings, objects: Any) -> None:
    """Two people are needed, also where one of them holds both verbs' objects."""
    objects.tasks["fix-7"] = AgentTask.parse(task_document(requestedBy="alice"))

    assert (await refused(of("approvals", approval(), ask), around, May("approve"))).code is Code.RESERVED


async def test_what_is_asked_of_rbac_is_about_the_role_of_the_grant(
    ask: Any, around: Surroundings, objects: Any
) -> None:
    """The role is read from the Grant, never from the Approval."""
    may = May("approve")
    raw = objects.grants["grant-1"].model_dump(by_alias=True)
    raw["spec"]["role"]["name"] = "deployer"
    objects.grants["grant-1"] = Grant.model_validate(raw)
    await decide(of("approvals", approval(), ask), around, may)

    assert {(item.resource, item.namespace, item.name) for item in may.asked} == {
        ("agentroles", "agents", "deployer")
    }


async def test_another_kind_is_refused(ask: Any, around: Surroundings) -> None:
    """A rule that sends us something else is a mistake that fails closed."""
    assert (await refused(of("connectors", {"spec": {}}, ask), around)).code is Code.MALFORMED
