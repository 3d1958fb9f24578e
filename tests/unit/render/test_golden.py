"""What is rendered, shown in full: a change of a golden file is a change of what runs.

After a wanted change: delete the file, run the tests twice, read the difference, and count up
`doorward.render.names.RENDERER`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.render import (
    RenderSettings,
    render_default_deny,
    render_pod,
    render_role_policy,
    render_service_account,
)

GOLDEN = Path(__file__).parent / "golden"

FULL_TASK: dict[str, Any] = {
    "agent": {
        "command": ["/usr/bin/agent"],
        "args": ["--once"],
        "env": [
            {"name": "MODE", "value": "careful"},
            {"name": "EMPTY", "value": ""},
            {"name": "GITHUB_TOKEN", "value": "not-this"},
        ],
        "resources": {"limits": {"cpu": "1.5", "memory": "2048Mi"}, "requests": {"memory": "1Gi"}},
        "workingDir": "/workspace/src",
        "runtimeClassName": "gvisor",
    },
    "deadline": "2h",
}
FULL_ROLE: dict[str, Any] = {
    "agent": {"resources": {"limits": {"cpu": "2", "memory": "4Gi"}}, "runtimeClassName": "gvisor"},
    "rules": [
        {"name": "comment", "connector": "code", "actions": ["issue.comment"]},
        {"name": "review", "connector": "review", "actions": ["pull.review"]},
        {"name": "read", "connector": "code", "actions": ["file.read"]},
    ],
}


def golden(name: str, rendered: dict[str, Any]) -> dict[str, Any]:
    """The stored document; written, and the test failed, where there is none."""
    path = GOLDEN / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(rendered, indent=2, sort_keys=True) + "\n")
        pytest.fail(f"{path.name} was missing: it is written now, read it and run again")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_pod_of_a_small_task(
    make_task: Callable[..., AgentTask],
    make_role: Callable[..., AgentRole],
    connectors: dict[str, Connector],
    settings: RenderSettings,
) -> None:
    """A task that says nothing but image and role gets every default written out."""
    rendered = render_pod(make_task(), make_role(), connectors, settings)

    assert golden("small", rendered) == rendered


def test_the_pod_of_a_full_task(
    make_task: Callable[..., AgentTask],
    make_role: Callable[..., AgentRole],
    make_connector: Callable[..., Connector],
    settings: RenderSettings,
) -> None:
    """A task that says everything it can gets it, and cannot overrule what is ours."""
    connectors = {name: make_connector(name) for name in ("code", "review", "unused")}
    rendered = render_pod(make_task(**FULL_TASK), make_role(**FULL_ROLE), connectors, settings)

    assert golden("full", rendered) == rendered


def test_the_objects_of_a_role_and_a_namespace(
    make_role: Callable[..., AgentRole], make_connector: Callable[..., Connector], settings: RenderSettings
) -> None:
    """Identity and network of a role, and the closed door of its namespace."""
    connectors = {name: make_connector(name) for name in ("code", "review", "unused")}
    role = make_role(**FULL_ROLE)
    rendered = {
        "account": render_service_account(role),
        "policy": render_role_policy(role, connectors, settings),
        "deny": render_default_deny("agents"),
    }

    assert golden("surroundings", rendered) == rendered
