"""Grants and Approvals: nobody asks or answers in another's name, and two people are always two."""

from __future__ import annotations

from typing import Any

import pytest
from admissionworld import DIGEST, grant_document, task_document

from doorward.api.v1alpha1 import AgentTask, Grant, approval_name
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.kinds import decide
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import User

GROUPS = ("reviewers", "system:authenticated")
CAROL = User("carol", groups=GROUPS)


class May:
    """Lets users do exactly these verbs; a verb may carry a subresource."""

    def __init__(self, *verbs: str) -> None:
        self.verbs = verbs
        self.asked: list[Access] = []

    async def __call__(self, _: User, access: Access) -> bool:
        """Whether it is one of the verbs."""
        self.asked.append(access)
        return "/".join(part for part in (access.verb, access.subresource) if part) in self.verbs


def approval(name: str = "", **spec: Any) -> dict[str, Any]:
    """Carol's answer to the one Grant."""
    base = {"grant": "grant-1", "digest": DIGEST, "decision": "Approve", "user": "carol"}
    given = {**base, "groups": list(GROUPS), **spec}
    name = name or approval_name(given["grant"], "carol")
    return {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": name, "namespace": "agents"},
        "spec": given,
    }


def of(resource: str, document: dict[str, Any], ask: Any, user: User = CAROL) -> Any:
    """A question about a new object."""
    return ask(group="doorward.dev", resource=resource, object=document, user=user)


async def refused(review: Any, around: Surroundings, *verbs: str) -> Refusal:
    """The no to a question of somebody with these verbs."""
    with pytest.raises(Refusal) as caught:
        await decide(review, around, May(*verbs))
    return caught.value


@pytest.mark.parametrize("verb", ["approve", "approve/merge"])
async def test_an_approver_may_answer_in_their_own_name(verb: str, ask: Any, around: Surroundings) -> None:
    """The verb `approve` on the role, or on one rule of it as a subresource, is what it takes."""
    assert await decide(of("approvals", approval(), ask), around, May(verb)) is None


@pytest.mark.parametrize(
    ("spec", "verbs", "rule"),
    [
        ({"user": "bob"}, ("approve",), "approvals.user"),
        ({"user": None}, ("approve",), "approvals.user"),
        ({"groups": []}, ("approve",), "approvals.user"),
        ({"groups": [*GROUPS, "system:masters"]}, ("approve",), "approvals.user"),
        ({"name": "grant-1"}, ("approve",), "approvals.name"),
        ({"name": approval_name("grant-1", "bob")}, ("approve",), "approvals.name"),
        ({}, (), "approvals.verbs"),
        ({}, ("approve/comment",), "approvals.verbs"),
        ({}, ("approve", "use"), "approvals.verbs"),
        ({"digest": "sha256:" + "1" * 64}, ("approve",), "approvals.digest"),
    ],
)
async def test_an_approval_that_is_not_ones_own_to_give_is_refused(
    spec: dict[str, Any], verbs: tuple[str, ...], rule: str, ask: Any, around: Surroundings
) -> None:
    """Another's name or groups, a second answer, no verb, another rule's, the verb `use`, another digest."""
    assert (await refused(of("approvals", approval(**spec), ask), around, *verbs)).rule == rule


async def test_the_right_name_is_said(ask: Any, around: Surroundings) -> None:
    """Nobody has to compute it."""
    refusal = await refused(of("approvals", approval("mine"), ask), around, "approve")

    assert refusal.allowed == approval_name("grant-1", "carol") == "grant-1-4c26d907"


@pytest.mark.parametrize("absent", ["grants", "tasks"])
async def test_what_is_answered_must_be_there(
    absent: str, ask: Any, around: Surroundings, objects: Any
) -> None:
    """A watch may be a moment behind, so the answer is to try again."""
    getattr(objects, absent).clear()

    assert (await refused(of("approvals", approval(), ask), around, "approve")).code is Code.UNAVAILABLE


@pytest.mark.parametrize("member", ["requestedBy", "createdBy"])
async def test_who_wanted_the_task_does_not_approve(
    member: str, ask: Any, around: Surroundings, objects: Any
) -> None:
    """Neither the one it is for nor the one who made it, also where they have lost `use`."""
    objects.tasks["fix-7"] = AgentTask.parse(task_document(**{member: "carol"}))
    refusal = await refused(of("approvals", approval(), ask), around, "approve")

    assert (refusal.code, refusal.rule) == (Code.RESERVED, "approvals.distance")


async def test_who_made_the_grant_does_not_approve(ask: Any, around: Surroundings, objects: Any) -> None:
    """Whoever words the question does not answer it."""
    objects.grants["grant-1"] = Grant.parse(grant_document(author="carol"))

    assert (await refused(of("approvals", approval(), ask), around, "approve")).rule == "approvals.distance"


ACCOUNTS = [
    User("system:serviceaccount:agents:doorward-role-fixer"),
    User("system:serviceaccount:agents:default", groups=("system:serviceaccounts:agents",)),
    User("somebody", groups=("system:serviceaccounts:agents",)),
]


@pytest.mark.parametrize("user", ACCOUNTS, ids=["name", "both", "group"])
async def test_no_account_where_agents_run_answers(user: User, ask: Any, around: Surroundings) -> None:
    """Whatever verbs somebody gave it."""
    document = approval(approval_name("grant-1", user.name), user=user.name, groups=list(user.groups))
    refusal = await refused(of("approvals", document, ask, user), around, "approve")

    assert (refusal.code, "agents run in namespace agents" in refusal.detail) == (Code.RESERVED, True)


async def test_an_account_of_another_place_may_answer(ask: Any, around: Surroundings) -> None:
    """A program of the approvers is theirs to trust."""
    bot = User("system:serviceaccount:reviewers:bot", groups=("system:serviceaccounts:reviewers",))
    document = approval(approval_name("grant-1", bot.name), user=bot.name, groups=list(bot.groups))

    assert await decide(of("approvals", document, ask, bot), around, May("approve")) is None


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


def grant(name: str = "grant-2", **spec: Any) -> dict[str, Any]:
    """A Grant that Carol makes."""
    document = grant_document(**{"author": "carol", **spec})
    return {**document, "metadata": {"name": name, "namespace": "agents"}}


async def test_a_grant_for_a_task_that_is_there_is_admitted(ask: Any, around: Surroundings) -> None:
    """Who may make one is for the policy `identities`: it holds also while nobody answers here."""
    assert await decide(of("grants", grant(), ask), around, May()) is None


UID = "0b8c1c2e-1111-4222-8333-944444444444"


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        ({"author": "bob"}, "grants.author"),
        ({"author": None}, "grants.author"),
        ({"name": "g" * 201}, "grants.name"),
        ({"task": {"name": "fix-7", "uid": "another"}}, "grants.task"),
        ({"role": {"name": "deployer", "uid": UID}}, "grants.task"),
    ],
)
async def test_a_grant_that_is_not_what_it_says_is_refused(
    spec: dict[str, Any], rule: str, ask: Any, around: Surroundings
) -> None:
    """Another's name, a name that leaves no room, an earlier task of this name, another role than its own."""
    assert (await refused(of("grants", grant(**spec), ask), around)).rule == rule


async def test_a_grant_for_no_task_waits_for_it(ask: Any, around: Surroundings, objects: Any) -> None:
    """The watch may be behind; nothing is admitted until it is not."""
    objects.tasks.clear()

    assert (await refused(of("grants", grant(), ask), around)).code is Code.UNAVAILABLE


@pytest.mark.parametrize("user", ACCOUNTS, ids=["name", "both", "group"])
async def test_no_account_where_agents_run_makes_grants(user: User, ask: Any, around: Surroundings) -> None:
    """An agent's side never widens."""
    review = of("grants", grant(author=user.name), ask, user)

    assert (await refused(review, around)).code is Code.RESERVED
