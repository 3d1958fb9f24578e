"""No task runs behind a fence that somebody else's NetworkPolicy opens."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devcluster.netpol.selectors import matches
from doorward.api.v1alpha1 import AgentTask
from doorward.render import RenderSettings, pod_name
from doorward.render.names import task_labels
from doorward_operator.pods import timestamp
from doorward_operator.reasons import EventReason
from doorward_operator.reconcile import Observed, Plan, reconcile
from doorward_operator.union import enumerated, widening

NOW = 1_800_000_000.0
MakeObserved = Callable[..., Observed]
LABELS = task_labels("fixer")


def task(**status: Any) -> AgentTask:
    """A task of the role `fixer`."""
    metadata = {"name": "fix", "namespace": "agents", "uid": "uid-fix", "generation": 1}
    return AgentTask.parse(
        {
            "apiVersion": "doorward.dev/v1alpha1",
            "kind": "AgentTask",
            "metadata": {**metadata, "creationTimestamp": timestamp(NOW)},
            "spec": {"role": "fixer", "agent": {"image": "registry.example/agents/a:1"}},
            "status": status,
        }
    )


def policy(name: str = "helpful", **spec: Any) -> dict[str, Any]:
    """A NetworkPolicy of somebody else."""
    metadata = {"name": name, "namespace": "agents", "uid": f"uid-{name}", "resourceVersion": "7"}
    return {"metadata": metadata, "spec": {"podSelector": {}, **spec}}


def verdict(plan: Plan, kind: str = "PolicyReady") -> tuple[str, str, str]:
    """Status, reason and message of one planned condition."""
    assert plan.status is not None
    found = next(item for item in plan.status.conditions if item.type == kind)
    return found.status, found.reason, found.message


OPEN: list[tuple[dict[str, Any], str]] = [
    ({"egress": [{}]}, "opens egress"),
    ({"ingress": [{}], "egress": [{}]}, "opens ingress and egress"),
    ({"podSelector": {"matchLabels": {"doorward.dev/role": "fixer"}}, "ingress": [{}]}, "opens ingress"),
    ({"policyTypes": ["Ingress"], "egress": [{}]}, "opens nothing yet"),
    ({"policyTypes": ["Ingress", "Egress"]}, "opens nothing yet"),
    (
        {"podSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, "egress": [{}]},
        "opens egress",
    ),
    ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Later"}]}}, "opens nothing yet"),
]


@pytest.mark.parametrize(("spec", "opened"), OPEN)
def test_a_policy_that_selects_the_pod_keeps_it_from_starting(
    make_observed: MakeObserved, settings: RenderSettings, spec: dict[str, Any], opened: str
) -> None:
    """Named, with what it opens, how it goes away, and one Event."""
    plan = reconcile(task(), make_observed(others=(policy(**spec),)), NOW, settings)
    status, reason, message = verdict(plan)

    assert plan.create is None
    assert (status, reason) == ("False", "PolicyWidened")
    assert f"helpful ({opened})" in message
    assert "kubectl -n agents delete networkpolicy helpful" in message
    assert [note.reason for note in plan.notes] == [EventReason.POLICY_WIDENED]
    assert plan.notes[0].warning


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web"}},
        {"matchLabels": {"doorward.dev/role": "other"}},
        {"matchExpressions": [{"key": "doorward.dev/role", "operator": "NotIn", "values": ["fixer"]}]},
    ],
)
def test_policies_for_other_pods_are_none_of_its_business(
    make_observed: MakeObserved, settings: RenderSettings, selector: dict[str, Any]
) -> None:
    """Only what selects the pod can widen what the pod may reach."""
    others = (policy(podSelector=selector, egress=[{}]),)

    assert reconcile(task(), make_observed(others=others), NOW, settings).create is not None


def test_a_missing_policy_is_said_first(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """Ours is being applied; whether somebody widens it is said afterwards."""
    plan = reconcile(task(), make_observed(policy=None, others=(policy(),)), NOW, settings)

    assert verdict(plan)[1] == "PolicyMissing"


def running_pod(labels: dict[str, str] | None = None) -> dict[str, Any]:
    """The pod of the task while its agent runs."""
    started = {"name": "agent", "restartCount": 0, "state": {"running": {"startedAt": timestamp(NOW)}}}
    metadata = {"name": pod_name("fix", "uid-fix"), "labels": labels or LABELS}
    return {"metadata": metadata, "status": {"phase": "Running", "containerStatuses": [started]}}


def test_a_running_task_says_that_it_was_widened(
    make_observed: MakeObserved, settings: RenderSettings
) -> None:
    """One Event when the policy appears, none while it stays, and the condition holds again when it goes."""
    calm, widened = make_observed(pod=running_pod()), make_observed(pod=running_pod(), others=(policy(),))
    before = reconcile(task(), calm, NOW, settings)
    assert before.status is not None
    first = reconcile(stored(before), widened, NOW, settings)
    assert first.status is not None
    again = reconcile(stored(first), widened, NOW + 60, settings)
    after = reconcile(stored(first), calm, NOW + 60, settings)

    assert verdict(first)[:2] == ("False", "PolicyWidened")
    assert [note.reason for note in first.notes] == [EventReason.POLICY_WIDENED]
    assert not first.delete_pod
    assert again == Plan(requeue_at=again.requeue_at)
    assert verdict(after)[:2] == ("True", "PolicyInPlace")


def test_the_live_labels_count(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """A policy that selects a label which only the running pod has is a widening one."""
    others = (policy(podSelector={"matchLabels": {"debug": "yes"}}),)
    plan = reconcile(
        task(), make_observed(pod=running_pod({**LABELS, "debug": "yes"}), others=others), NOW, settings
    )

    assert verdict(plan)[1] == "PolicyWidened"


def stored(plan: Plan) -> AgentTask:
    """The task with the status of a plan."""
    assert plan.status is not None
    return task(**plan.status.model_dump(mode="json", by_alias=True, exclude_none=True))


def test_long_lists_are_counted() -> None:
    """A message names three and says how many more there are."""
    assert [enumerated(["a"]), enumerated(list("abc")), enumerated(list("abcde"))] == [
        "a",
        "a, b, c",
        "a, b, c and 2 more",
    ]


_KEYS = st.sampled_from([*LABELS, "other"])
_VALUES = st.sampled_from([*LABELS.values(), "else"])
_EXPRESSIONS = st.one_of(
    st.fixed_dictionaries(
        {
            "key": _KEYS,
            "operator": st.sampled_from(["In", "NotIn"]),
            "values": st.lists(_VALUES, min_size=1),
        }
    ),
    st.fixed_dictionaries({"key": _KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
_SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(_KEYS, _VALUES, max_size=2),
        "matchExpressions": st.lists(_EXPRESSIONS, max_size=2),
    },
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_SELECTORS, max_size=4))
def test_a_pod_is_made_only_where_no_other_policy_selects_it(
    make_observed: MakeObserved, settings: RenderSettings, chosen: list[dict[str, Any]]
) -> None:
    """For any set of policies: as the enforcer of the development cluster reads their selectors."""
    others = tuple(policy(f"p{index}", podSelector=item) for index, item in enumerate(chosen))
    expected = [f"p{index}" for index, item in enumerate(chosen) if matches(item, LABELS)]
    plan = reconcile(task(), make_observed(others=others), NOW, settings)

    assert [found["metadata"]["name"] for found in widening(others, LABELS)] == expected
    assert (plan.create is not None) == (not expected)


def test_no_task_starts_beside_foreign_pods(make_observed: MakeObserved, settings: RenderSettings) -> None:
    """They are named, with what helps; a task that runs already goes on."""
    beside = {"foreign_pods": ("web-1", "web-2", "web-3", "web-4")}
    plan = reconcile(task(), make_observed(**beside), NOW, settings)
    status, reason, message = verdict(plan, "Accepted")

    assert plan.create is None
    assert (status, reason) == ("False", "ForeignPods")
    assert "web-1, web-2, web-3 and 1 more" in message
    assert [note.reason for note in plan.notes] == [EventReason.NOT_ACCEPTED]
    running = reconcile(task(), make_observed(pod=copy.deepcopy(running_pod()), **beside), NOW, settings)
    assert verdict(running, "Accepted")[:2] == ("True", "Accepted")
    assert not running.delete_pod
