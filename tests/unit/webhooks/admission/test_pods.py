"""Pods of an enrolled namespace are the operator's, exactly as rendered, and nobody enters them."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import podattacks
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from doorward.api.v1alpha1 import AgentRole, AgentTask
from doorward.errors import Code, Refusal
from doorward.render import RenderSettings
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.pods import CLOSED, decide
from doorward_webhooks.admission.review import Denied, Operation, User

SOMEBODY = User("alice", groups=("system:masters",))


def refused(review: Any, around: Surroundings) -> Refusal:
    """The refusal of a question."""
    with pytest.raises(Refusal) as caught:
        decide(review, around)
    return caught.value


def places(refusal: Refusal) -> list[str]:
    """The places that a refusal names."""
    return [pointer for pointer, _ in refusal.causes] if isinstance(refusal, Denied) else []


def test_the_rendered_pod_of_the_operator_is_admitted(ask: Any, around: Surroundings) -> None:
    """The one way in."""
    assert decide(ask(), around) is None


def test_nobody_else_makes_pods_however_equal(ask: Any, around: Surroundings) -> None:
    """A cluster administrator who copies the operator's pod is refused."""
    refusal = refused(ask(user=SOMEBODY), around)

    assert (refusal.code, refusal.rule) == (Code.RESERVED, "pods.creator")


@pytest.mark.parametrize("case", podattacks.cases(), ids=lambda case: case.name)
@pytest.mark.parametrize("user", [User("alice"), None], ids=["somebody", "the operator"])
def test_every_known_way_to_a_secret_is_named(
    case: podattacks.Case, user: User | None, ask: Any, around: Surroundings, pod: dict[str, Any]
) -> None:
    """Whoever asks is told each place, the operator's own account included."""
    changed, pointers = case.applied(pod)
    review = ask(object=changed, user=user) if user else ask(object=changed)

    assert set(pointers) <= set(places(refused(review, around)))


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/spec/runtimeClassName", "weaker"),
        ("/spec/containers/0/image", "registry.example/agents/other:1"),
        ("/spec/activeDeadlineSeconds", 999999),
        ("/spec/containers/0/env/-", {"name": "INJECTED", "value": "x"}),
        ("/spec/containers/-", {"name": "injected", "image": "x"}),
        ("/metadata/labels/doorward.dev~1role", "admin"),
        ("/metadata/annotations/doorward.dev~1task", "other"),
        ("/spec/terminationGracePeriodSeconds", 3600),
        ("/spec/hostAliases/0/ip", "10.0.0.66"),
    ],
)
def test_whatever_is_not_rendered_is_named(
    pointer: str, value: Any, ask: Any, around: Surroundings, pod: dict[str, Any]
) -> None:
    """What holds no secret but differs, from whoever comes after the operator, is refused and named."""
    case = podattacks.Case("", "", "", {pointer: value}, (), (pointer,))
    changed, pointers = case.applied(pod)
    refusal = refused(ask(object=changed), around)

    assert set(pointers) <= {place[: len(pointers[0])] for place in places(refusal)}


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_single_change_of_a_value_is_admitted(
    data: st.DataObject, ask: Any, around: Surroundings, pod: dict[str, Any]
) -> None:
    """Equality leaves no room: any other value in any place of metadata and spec is refused."""
    changed: Any = copy.deepcopy(pod)
    holder, path = changed, [data.draw(st.sampled_from(["metadata", "spec"]))]
    while isinstance(holder[path[-1]], dict | list) and holder[path[-1]]:
        holder = holder[path[-1]]
        keys = range(len(holder)) if isinstance(holder, list) else sorted(holder)
        path.append(data.draw(st.sampled_from(list(keys))))
    before = holder[path[-1]]
    if path[-1] in {"uid", "creationTimestamp"} and len(path) == 2:
        return
    holder[path[-1]] = data.draw(
        st.one_of(st.text(), st.integers(), st.booleans(), st.none()).filter(
            lambda value: value != before or type(value) is not type(before)
        )
    )

    assert refused(ask(object=changed), around).code in {Code.HOLDS_SECRET, Code.RENDER_SKEW}


def test_settings_that_were_just_replaced_are_still_accepted(
    ask: Any, around: Surroundings, settings: RenderSettings
) -> None:
    """During a roll-out operator and admission may be one step apart in either direction."""
    newer = dataclasses.replace(settings, broker_ip="10.96.0.11")

    assert decide(ask(), dataclasses.replace(around, renderings=(newer, settings))) is None


def test_other_settings_are_a_skew_that_can_be_tried_again(
    ask: Any, around: Surroundings, settings: RenderSettings
) -> None:
    """The operator is told that trying again may help, and what differs."""
    newer = dataclasses.replace(settings, broker_ip="10.96.0.11")
    refusal = refused(ask(), dataclasses.replace(around, renderings=(newer,)))

    assert (refusal.code, refusal.status, places(refusal)) == (
        Code.RENDER_SKEW,
        409,
        ["/spec/hostAliases/0/ip"],
    )


def test_without_settings_nothing_is_admitted(ask: Any, around: Surroundings) -> None:
    """A process that has not read its settings says so."""
    assert refused(ask(), dataclasses.replace(around, renderings=())).code is Code.RENDER_SKEW


@pytest.mark.parametrize("missing", ["tasks", "roles", "all_connectors"])
def test_what_is_not_known_yet_is_a_skew(missing: str, ask: Any, around: Surroundings, objects: Any) -> None:
    """A pod that is ahead of the watches is refused for now."""
    getattr(objects, missing).clear()

    assert refused(ask(), around).code in {Code.RENDER_SKEW, Code.UNAVAILABLE}


def test_a_task_of_the_same_name_is_another_task(ask: Any, around: Surroundings, objects: Any) -> None:
    """A pod belongs to the task with its very UID."""
    raw = objects.tasks["fix-7"].model_dump(by_alias=True)
    raw["metadata"]["uid"] = "another"
    objects.tasks["fix-7"] = AgentTask.model_validate(raw)

    assert refused(ask(), around).code is Code.RENDER_SKEW


def test_a_literal_that_the_role_accepts_is_admitted(
    ask: Any, around: Surroundings, objects: Any, settings: RenderSettings, pod: dict[str, Any]
) -> None:
    """A false alarm is put right on the role, where it is reviewed; never on the pod."""
    text = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
    agent = {"image": "registry.example/agents/fixer:1.2", "env": [{"name": "BLOB", "value": text}]}
    task = objects.tasks["fix-7"].model_dump(by_alias=True, exclude_unset=True)
    objects.tasks["fix-7"] = AgentTask.model_validate({**task, "spec": {**task["spec"], "agent": agent}})
    pod["spec"]["containers"][0]["env"].insert(0, {"name": "BLOB", "value": text})
    before = refused(ask(object=pod), around)
    role = objects.roles["bug-fixer"].model_dump(by_alias=True, exclude_unset=True)
    role["metadata"]["annotations"] = {literals.ACCEPTED: literals.fingerprint(text)}
    objects.roles["bug-fixer"] = AgentRole.model_validate(role)

    assert before.code is Code.HOLDS_SECRET
    assert decide(ask(object=pod), around) is None


@pytest.mark.parametrize("subresource", sorted(CLOSED))
@pytest.mark.parametrize("operation", [Operation.CONNECT, Operation.UPDATE, Operation.CREATE])
def test_nobody_enters_a_task_pod(
    subresource: str, operation: Operation, ask: Any, around: Surroundings
) -> None:
    """Neither the operator nor an administrator gets into a running pod."""
    for user in (User(around.operator), SOMEBODY):
        review = ask(operation=operation, subresource=subresource, user=user, object={})
        assert refused(review, around).rule == "pods.subresource"


def test_a_subresource_that_nobody_knows_is_closed(ask: Any, around: Surroundings) -> None:
    """What a later Kubernetes adds is refused until somebody has thought about it."""
    assert refused(ask(subresource="checkpoint"), around).rule == "pods.subresource"


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": Operation.DELETE, "object": None},
        {"subresource": "eviction", "object": {}},
        {"subresource": "binding", "object": {}, "user": User("system:kube-scheduler")},
        {"resource": "bindings", "object": {}, "user": User("system:kube-scheduler")},
    ],
    ids=str,
)
def test_what_the_cluster_needs_passes(changes: dict[str, Any], ask: Any, around: Surroundings) -> None:
    """Pods can always be deleted, evicted from a node that drains, and placed by the scheduler."""
    assert decide(ask(**{"user": SOMEBODY, **changes}), around) is None


def test_only_the_scheduler_places_pods(ask: Any, around: Surroundings) -> None:
    """A binding by anybody else would choose the node."""
    assert refused(ask(subresource="binding", object={}), around).rule == "pods.binding"


@pytest.mark.parametrize("subresource", ["", "status"])
def test_labels_never_change(subresource: str, ask: Any, around: Surroundings, pod: dict[str, Any]) -> None:
    """A label that goes would take the pod out of its NetworkPolicy, also by way of the status."""
    changed = copy.deepcopy(pod)
    del changed["metadata"]["labels"]["doorward.dev/role"]
    review = ask(operation=Operation.UPDATE, subresource=subresource, object=changed, old=pod)

    assert refused(review, around).rule == "pods.labels"


def test_the_spec_of_a_running_pod_never_changes(ask: Any, around: Surroundings, pod: dict[str, Any]) -> None:
    """An image is not swapped under an agent."""
    changed = copy.deepcopy(pod)
    changed["spec"]["containers"][0]["image"] = "x"
    review = ask(operation=Operation.UPDATE, object=changed, old=pod, user=SOMEBODY)

    assert refused(review, around).rule == "pods.update"


def test_finalizers_and_status_may_change(ask: Any, around: Surroundings, pod: dict[str, Any]) -> None:
    """Kubelets report and the garbage collector works."""
    changed = copy.deepcopy(pod)
    changed["metadata"]["finalizers"] = ["foregroundDeletion"]
    changed["status"]["phase"] = "Running"
    for subresource in ("", "status"):
        review = ask(operation=Operation.UPDATE, subresource=subresource, object=changed, old=pod)
        assert decide(review, around) is None
