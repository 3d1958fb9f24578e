"""Each refusal of pods and workloads says all: code, rule, what is wrong, what is allowed, how to ask."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.errors import Refusal
from doorward_webhooks.admission import pods, templates
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.review import Denied, Operation, User

GOLDEN = json.loads((Path(__file__).parent / "golden" / "refusals.json").read_text())
ALICE = User("alice")


def told(decide: Callable[[], object]) -> dict[str, Any]:
    """All of a refusal."""
    with pytest.raises(Refusal) as caught:
        decide()
    refusal = caught.value
    texts = {name: getattr(refusal, name) for name in ("detail", "rule", "allowed", "ask")}
    causes = refusal.causes if isinstance(refusal, Denied) else ()
    return {"code": refusal.code.value, **texts, "causes": [list(cause) for cause in causes]}


def at(pod: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """The pod with another value in one place."""
    changed: Any = copy.deepcopy(pod)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return dict(changed)


@pytest.fixture
def refusals(
    ask: Any, around: Surroundings, pod: dict[str, Any], objects: Any, settings: Any
) -> dict[str, dict[str, Any]]:
    """Every way to be refused, by name."""
    update = {"operation": Operation.UPDATE, "old": pod}
    long = at(pod, "spec", "containers", 0, "workingDir", value="/" + "word/" * 100)
    exact = at(pod, "spec", "containers", 0, "workingDir", value="/" + "w" * 142)
    longer = at(pod, "spec", "containers", 0, "workingDir", value="/" + "w" * 143)
    named = at(pod, "spec", "containers", 0, "workingDir", value="Authorization: Bearer abcdefgh")
    bare = dataclasses.replace(around, renderings=())
    newer = dataclasses.replace(
        around,
        renderings=(
            dataclasses.replace(settings, broker_ip="10.9.9.9"),
            dataclasses.replace(settings, priority=7),
        ),
    )
    secret = at(pod, "spec", "hostNetwork", value=True)
    two = at(secret, "spec", "hostPID", value=True)
    labelled = at(pod, "metadata", "labels", value={**pod["metadata"]["labels"], "app": "x"})
    questions = {
        "foreign-label": ask(object=labelled),
        "closed": ask(subresource="exec", operation=Operation.CONNECT, user=ALICE, object={}),
        "unknown-subresource": ask(subresource="checkpoint"),
        "binding": ask(subresource="binding", object={}, user=ALICE),
        "spec-changed": ask(**update, object=at(pod, "spec", "priority", value=1)),
        "labels-changed": ask(**update, object=at(pod, "metadata", "labels", value={})),
        "somebody": ask(user=ALICE),
        "somebody-with-a-secret": ask(user=ALICE, object=secret),
        "one-place": ask(object=secret),
        "two-places": ask(object=two),
        "long-difference": ask(object=long),
        "difference-of-200": ask(object=exact),
        "difference-of-201": ask(object=longer),
        "difference-with-a-credential": ask(object=named),
    }
    found = {name: told(lambda asked=asked: pods.decide(asked, around)) for name, asked in questions.items()}
    found["no-settings"] = told(lambda: pods.decide(ask(), bare))
    found["first-settings-are-told-of"] = told(lambda: pods.decide(ask(), newer))
    schedulers = dataclasses.replace(around, schedulers=frozenset({"b", "a"}))
    found["binding-with-two-schedulers"] = told(lambda: pods.decide(questions["binding"], schedulers))
    template = {
        "metadata": {"labels": {"app": "x"}},
        "spec": {"hostPID": True, "nodeName": "ghp_" + "a" * 36},
    }
    deployment = ask(group="apps", resource="deployments", object={"spec": {"template": template}})
    found["workload"] = told(lambda: templates.decide(deployment))
    found["unknown-workload"] = told(
        lambda: templates.decide(ask(group="apps", resource="clonesets", object={}))
    )
    empty = ask(group="apps", resource="deployments", object=None)
    found["workload-without-a-template"] = told(lambda: templates.decide(empty))
    objects.tasks.clear()
    found["no-task"] = told(lambda: pods.decide(ask(), around))
    return found


def test_every_refusal_is_told_in_full(refusals: dict[str, dict[str, Any]]) -> None:
    """The whole sentence, as people and programs get it."""
    assert refusals == GOLDEN


def owned(pod: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The pod with another owner."""
    return at(
        pod, "metadata", "ownerReferences", value=[{**pod["metadata"]["ownerReferences"][0], **changes}]
    )


@pytest.mark.parametrize(
    "changes",
    [{"kind": "AgentRole"}, {"apiVersion": "example.org/v1"}, {"name": "other"}, {"uid": "other"}],
    ids=str,
)
def test_an_owner_that_is_not_the_task_is_no_task(
    changes: dict[str, Any], ask: Any, around: Surroundings, pod: dict[str, Any]
) -> None:
    """Kind, group, name and UID of the owner decide which task a pod belongs to."""
    assert told(lambda: pods.decide(ask(object=owned(pod, **changes)), around)) == GOLDEN["no-task"]


@pytest.mark.parametrize("owners", [None, [], "x", [1], [{}]], ids=str)
def test_a_pod_without_one_owner_belongs_to_no_task(
    owners: Any, ask: Any, around: Surroundings, pod: dict[str, Any]
) -> None:
    """None and garbage are no owner."""
    changed = at(pod, "metadata", "ownerReferences", value=owners)

    assert told(lambda: pods.decide(ask(object=changed), around))["code"] in {"holds_secret", "render_skew"}


def test_two_owners_are_no_owner(ask: Any, around: Surroundings, pod: dict[str, Any]) -> None:
    """A pod of two tasks is a pod of none."""
    owners = pod["metadata"]["ownerReferences"] * 2
    changed = at(pod, "metadata", "ownerReferences", value=owners)

    assert told(lambda: pods.decide(ask(object=changed), around)) == GOLDEN["no-task"]
