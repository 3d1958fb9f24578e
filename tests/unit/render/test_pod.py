"""What a pod never has, whatever task and role say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.errors import Code, Refusal
from doorward.render import RenderSettings, pod_name, render_pod

Make = Callable[..., Any]


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    """One container of the pod, wherever it stands."""
    spec = pod["spec"]
    return next(item for item in spec["initContainers"] + spec["containers"] if item["name"] == name)


@pytest.fixture
def pod(
    make_task: Make, make_role: Make, connectors: dict[str, Connector], settings: RenderSettings
) -> dict[str, Any]:
    """The pod of a plain task."""
    return render_pod(make_task(), make_role(), connectors, settings)


def test_the_agent_shares_no_volume_with_the_door(pod: dict[str, Any]) -> None:
    """The token and the sidecar's state are out of the agent's reach."""
    door = {mount["name"] for mount in container(pod, "door")["volumeMounts"]}
    agent = {mount["name"] for mount in container(pod, "agent")["volumeMounts"]}

    assert {"token", "state"} == door
    assert set() == door & agent


def test_the_two_containers_are_two_users(pod: dict[str, Any]) -> None:
    """Neither can read the other's files or signal its processes."""
    users = [container(pod, name)["securityContext"]["runAsUser"] for name in ("door", "agent")]
    groups = [container(pod, name)["securityContext"]["runAsGroup"] for name in ("door", "agent")]

    assert users == [65532, 10001]
    assert groups == [65532, 10001]


def test_no_variable_comes_from_a_secret(pod: dict[str, Any]) -> None:
    """Values are literal, but for the node's address."""
    references = [
        item["valueFrom"]
        for name in ("door", "agent")
        for item in container(pod, name)["env"]
        if "valueFrom" in item
    ]

    assert references == [{"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}]


def test_a_task_cannot_point_clients_elsewhere(
    make_task: Make, make_role: Make, connectors: dict[str, Connector], settings: RenderSettings
) -> None:
    """Where the task names a variable of ours, ours is kept."""
    task = make_task(agent={"env": [{"name": "GITHUB_API_URL", "value": "https://elsewhere.example"}]})
    env = container(render_pod(task, make_role(), connectors, settings), "agent")["env"]
    found = [item["value"] for item in env if item["name"] == "GITHUB_API_URL"]

    assert found == ["http://127.0.0.1:8470/via/code"]


def test_an_image_that_the_role_does_not_name_is_refused(
    make_task: Make, make_role: Make, connectors: dict[str, Connector], settings: RenderSettings
) -> None:
    """The role owns the shape of its agents; the refusal says which images would do."""
    task = make_task(agent={"image": "registry.example/other/tool"})
    with pytest.raises(Refusal) as refused:
        render_pod(task, make_role(), connectors, settings)

    assert Code.OUT_OF_SCOPE is refused.value.code
    assert refused.value.rule == "agent.images"
    assert refused.value.allowed == "registry.example/agents/*"


def test_a_role_without_images_runs_nothing(
    make_task: Make, make_role: Make, connectors: dict[str, Connector], settings: RenderSettings
) -> None:
    """What is not named does not exist."""
    with pytest.raises(Refusal, match="none that role bug-fixer runs"):
        render_pod(make_task(), make_role(agent={"images": []}), connectors, settings)


def test_a_connector_that_does_not_exist_is_named(
    make_task: Make, make_role: Make, settings: RenderSettings
) -> None:
    """A pod that could not reach its connector is not made."""
    with pytest.raises(Refusal, match="do not exist: code"):
        render_pod(make_task(), make_role(), {}, settings)


@pytest.mark.parametrize(
    ("task_limits", "role_limits", "detail"),
    [
        ({"cpu": "3"}, {"cpu": "2"}, "3 cpu is above the 2 of the role"),
        ({"memory": "2Gi"}, {}, "2Gi memory is above the 1Gi of the role"),
    ],
)
def test_more_compute_than_the_role_has_is_refused(
    *,
    make_task: Make,
    make_role: Make,
    connectors: dict[str, Connector],
    settings: RenderSettings,
    task_limits: dict[str, str],
    role_limits: dict[str, str],
    detail: str,
) -> None:
    """A task narrows its role; where the role is silent the chart's default is the most."""
    task = make_task(agent={"resources": {"limits": task_limits}})
    role = make_role(agent={"resources": {"limits": role_limits}})
    with pytest.raises(Refusal, match=detail):
        render_pod(task, role, connectors, settings)


def test_another_runtime_class_than_the_roles_is_refused(
    make_task: Make, make_role: Make, connectors: dict[str, Connector], settings: RenderSettings
) -> None:
    """A task cannot leave the sandbox that its role prescribes."""
    task = make_task(agent={"runtimeClassName": "runc"})
    with pytest.raises(Refusal, match="runc is not the gvisor of the role"):
        render_pod(task, make_role(agent={"runtimeClassName": "gvisor"}), connectors, settings)


OBJECT_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True)


@given(OBJECT_NAMES, st.uuids())
def test_a_pod_name_is_a_host_name(name: str, uid: object) -> None:
    """Cutting a long name never leaves one that the server would refuse, nor one longer than 63."""
    found = pod_name(name, str(uid))

    assert len(found) <= 63
    assert ".-" not in found[-10:]
    assert "--" not in found[-10:]


def test_two_tasks_of_one_name_have_two_pods() -> None:
    """A task made anew under an old name does not take over the old pod."""
    assert pod_name("fix", "uid-1") != pod_name("fix", "uid-2")


def test_rendering_needs_nothing_but_its_arguments(
    make_task: Callable[..., AgentTask],
    make_role: Callable[..., AgentRole],
    connectors: dict[str, Connector],
    settings: RenderSettings,
) -> None:
    """Twice the same input is twice the same pod, in objects of its own."""
    first = render_pod(make_task(), make_role(), connectors, settings)
    second = render_pod(make_task(), make_role(), connectors, settings)
    assert first == second

    first["spec"]["containers"][0]["env"].clear()
    first["spec"]["tolerations"].clear()
    assert second == render_pod(make_task(), make_role(), connectors, settings)
