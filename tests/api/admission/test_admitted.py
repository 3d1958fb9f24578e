"""The one way in is open: the operator's pod passes webhook, policies and the server itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from doorward.render import differences
from doorward_webhooks.admission.walk import table
from openapi.table import fields


def leaves(found: Any, path: str = "") -> set[str]:
    """Pointers of all members of an object, two levels deep."""
    return {f"/{part}/{key}" for part in ("metadata", "status") for key in found.get(part, {})}


def test_the_operators_pod_is_made(world: Any, pod: dict[str, Any]) -> None:
    """Rendered, posted by the operator, admitted by everything that guards the namespace."""
    assert world.create_pod(pod).message == ""


def test_what_the_server_adds_is_what_equality_passes_over(world: Any, pod: dict[str, Any]) -> None:
    """The list of ignored lines is the server's own, not our memory of it."""
    created = world.create_pod(pod).document
    added = leaves(created) - leaves(pod)
    expected = {
        "/metadata/creationTimestamp",
        "/metadata/generation",
        "/metadata/managedFields",
        "/metadata/uid",
        "/status/phase",
        "/status/qosClass",
    }

    assert added == expected
    assert differences(created, pod) == ()


def test_the_walk_knows_every_field_of_this_server(world: Any) -> None:
    """A running API server publishes no field of a pod that the committed table does not have."""
    document = json.loads(world.kubectl("get", "--raw", "/openapi/v3/api/v1"))
    known = table()
    unknown = [
        f"{kind}.{field}"
        for kind, field, _ in fields(document["components"]["schemas"])
        if field not in known.get(kind, {})
    ]

    assert unknown == []


def test_a_second_task_has_a_pod_too(world: Any, task: Callable[..., str]) -> None:
    """A task that says more is rendered and admitted as well."""
    agent = {
        "image": "registry.example/agents/fixer:1.2",
        "args": ["--once"],
        "env": [{"name": "MODE", "value": "careful"}],
        "resources": {"limits": {"cpu": "500m"}},
    }
    name = task("second", agent=agent, deadline="30m")

    assert world.create_pod(world.rendered(name)).message == ""
