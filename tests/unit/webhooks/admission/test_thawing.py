"""Thaws: in one's own name, for somebody else's task, by whom it takes."""

from __future__ import annotations

from typing import Any

import pytest
from admissionworld import task_document

from doorward.api.v1alpha1 import AgentTask
from doorward.errors import Code, Refusal
from doorward.kube import Access
from doorward_webhooks.admission.defaults import of_new
from doorward_webhooks.admission.kinds import decide
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import User

CAROL = User("carol", groups=("reviewers",))
AGENTS = User("system:serviceaccount:agents:bot", groups=("system:serviceaccounts:agents",))


def thaw(ask: Any, who: User = CAROL, **spec: Any) -> Any:
    """A question about Carol's Thaw of the one task."""
    given = {"task": "fix-7", "reason": "looked at it", "user": who.name, **spec}
    metadata = {"name": "fix-7-abc", "namespace": "agents"}
    document = {"apiVersion": "doorward.dev/v1alpha1", "kind": "Thaw", "metadata": metadata, "spec": given}
    return ask(group="doorward.dev", resource="thaws", object=document, user=who)


class May:
    """Says the same to every question, and keeps them."""

    def __init__(self, *, yes: bool) -> None:
        self.yes, self.asked = yes, list[Access]()

    async def __call__(self, _: User, access: Access) -> bool:
        """The answer."""
        self.asked.append(access)
        return self.yes


async def test_whoever_has_the_verb_on_the_task_may_thaw_it(ask: Any, around: Surroundings) -> None:
    """The verb `thaw`, on that very task."""
    may = May(yes=True)
    await decide(thaw(ask), around, may)

    assert [(item.verb, item.resource, item.namespace, item.name) for item in may.asked] == [
        ("thaw", "agenttasks", "agents", "fix-7")
    ]


@pytest.mark.parametrize(
    ("user", "spec", "yes", "rule"),
    [
        (CAROL, {"user": "bob"}, True, "thaws.user"),
        (CAROL, {"user": None}, True, "thaws.user"),
        (CAROL, {}, False, "thaws.verbs"),
        (AGENTS, {}, True, "thaws.user"),
    ],
)
async def test_a_thaw_that_is_not_ones_own_to_make_is_refused(
    ask: Any, around: Surroundings, *, user: User, spec: dict[str, Any], yes: bool, rule: str
) -> None:
    """In another's name, without the verb, by who asked for the task, or by an agent's side."""
    with pytest.raises(Refusal) as caught:
        await decide(thaw(ask, user, **spec), around, May(yes=yes))

    assert (caught.value.code, caught.value.rule) == (Code.RESERVED, rule)


@pytest.mark.parametrize("member", ["requestedBy", "createdBy"])
async def test_who_asked_for_a_task_does_not_thaw_it(
    member: str, ask: Any, around: Surroundings, objects: Any
) -> None:
    """Two people look at what a frozen task did."""
    objects.tasks["fix-7"] = AgentTask.parse(task_document(**{member: "carol"}))
    with pytest.raises(Refusal) as caught:
        await decide(thaw(ask), around, May(yes=True))

    assert caught.value.rule == "thaws.distance"


async def test_a_thaw_of_a_task_that_is_not_there_waits(ask: Any, around: Surroundings) -> None:
    """Perhaps the cache lags behind."""
    with pytest.raises(Refusal) as caught:
        await decide(thaw(ask, task="nobody"), around, May(yes=True))

    assert caught.value.code is Code.UNAVAILABLE


def test_who_thaws_is_filled_in(ask: Any) -> None:
    """By the API server's word, where nothing is said."""
    assert of_new(thaw(ask)) == ()
    assert [dict(item) for item in of_new(thaw(ask, CAROL, user=None))] == [
        {"op": "add", "path": "/spec/user", "value": "carol"}
    ]
