"""The pod of a task: a pure function of task, role, connectors and settings.

Operator, admission and broker call it with the same input and compare for equality, so everything
that the API server would fill in is written out, in the spelling that the server would store.
Kept out of the agent's reach by construction: the token volume and the sidecar's state are mounted
in the sidecar only, the two containers have different users, and no process space is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.core import duration, glob
from doorward.errors import Code, Refusal
from doorward.render import environment, names
from doorward.render.compute import resources
from doorward.render.settings import Amounts, RenderSettings

DOOR_USER: Final = 65532
AGENT_USER: Final = 10001
TOKEN_AUDIENCE: Final = "doorward-broker"  # noqa: S105 - an audience
TOKEN_SECONDS: Final = 600

_GATE: Final = f"import os; raise SystemExit(not os.path.exists({environment.READY_FILE!r}))"


def render_pod(
    task: AgentTask,
    role: AgentRole,
    connectors: Mapping[str, Connector],
    settings: RenderSettings,
) -> dict[str, Any]:
    """The manifest to POST. `connectors` are by name and must hold those the role's rules name.

    Raises `Refusal`: `out_of_scope` when the task wants a shape that its role does not allow,
    `unavailable` when a connector of the role does not exist.
    """
    runtime_class = _runtime_class(task, role)
    _check_image(task, role)
    used = connectors_of(role, connectors)
    spec = {
        **_scheduling(settings),
        **({"runtimeClassName": runtime_class} if runtime_class else {}),
        **_isolation(task, role, settings),
        "initContainers": [_door(settings)],
        "containers": [_agent(task, role, used, settings)],
        "volumes": _volumes(settings),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(task), "spec": spec}


def connectors_of(role: AgentRole, connectors: Mapping[str, Connector]) -> list[Connector]:
    """The connectors that the role's rules name, in order of first mention.

    Raises `Refusal(unavailable)` that names those that do not exist.
    """
    wanted = list(dict.fromkeys(rule.connector for rule in role.spec.rules))
    absent = [name for name in wanted if name not in connectors]
    if absent:
        raise Refusal(
            Code.UNAVAILABLE,
            f"role {role.metadata.name} names connectors that do not exist: {', '.join(absent)}",
            ask="have the platform team create the Connector, or take its rules out of the role",
        )
    return [connectors[name] for name in wanted]


def _metadata(task: AgentTask) -> dict[str, Any]:
    found = task.metadata
    owner = {
        "apiVersion": task.api_version,
        "blockOwnerDeletion": False,
        "controller": True,
        "kind": type(task).__name__,
        "name": found.name,
        "uid": found.uid,
    }
    return {
        "annotations": {
            names.TASK: found.name,
            names.TASK_UID: found.uid,
            names.RENDERER_ANNOTATION: names.RENDERER,
        },
        "labels": names.task_labels(task.spec.role),
        "name": names.pod_name(found.name, found.uid),
        "namespace": found.namespace,
        "ownerReferences": [owner],
    }


def _scheduling(settings: RenderSettings) -> dict[str, Any]:
    optional = {
        "nodeSelector": dict(settings.node_selector or {}),
        "priorityClassName": settings.priority_class_name,
        "tolerations": [dict(item) for item in settings.tolerations],
    }
    return {
        "preemptionPolicy": settings.preemption_policy,
        "priority": settings.priority,
        "schedulerName": "default-scheduler",
        **{key: found for key, found in optional.items() if found},
    }


def _isolation(task: AgentTask, role: AgentRole, settings: RenderSettings) -> dict[str, Any]:
    account = names.role_object(role.metadata.name)
    return {
        "activeDeadlineSeconds": duration.seconds(task.spec.deadline),
        "automountServiceAccountToken": False,
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "dnsPolicy": "None",
        "enableServiceLinks": False,
        "hostAliases": [{"hostnames": [settings.broker_host], "ip": settings.broker_ip}],
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccount": account,
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": settings.termination_grace_seconds,
    }


def _door(settings: RenderSettings) -> dict[str, Any]:
    broker_url = f"https://{settings.broker_host}:{settings.broker_port}"
    return {
        **_container(names.DOOR_CONTAINER, settings.door_image, DOOR_USER, settings),
        "env": environment.door_variables(broker_url, settings.ca_pem),
        "resources": _plain(settings.door_resources),
        "restartPolicy": "Always",
        "startupProbe": {
            # A probe over the network would go to the pod's address, where the agent could answer.
            "exec": {"command": [settings.door_python, "-I", "-S", "-c", _GATE]},
            "failureThreshold": settings.startup_seconds,
            "periodSeconds": 1,
            "successThreshold": 1,
            "timeoutSeconds": 5,
        },
        "volumeMounts": [
            {"mountPath": environment.TOKEN_DIRECTORY, "name": "token", "readOnly": True},
            {"mountPath": environment.STATE_DIRECTORY, "name": "state"},
        ],
    }


def _agent(
    task: AgentTask, role: AgentRole, connectors: list[Connector], settings: RenderSettings
) -> dict[str, Any]:
    agent = task.spec.agent
    optional = {"command": list(agent.command), "args": list(agent.args)}
    return {
        **_container(names.AGENT_CONTAINER, agent.image, AGENT_USER, settings),
        **{key: found for key, found in optional.items() if found},
        "env": environment.agent_variables(agent.env, connectors),
        "resources": resources(agent.resources, role.spec.agent.resources, settings.agent_resources),
        "volumeMounts": [
            {"mountPath": environment.WORKSPACE, "name": "workspace"},
            {"mountPath": "/tmp", "name": "tmp"},  # noqa: S108 - the agent's own, in its own pod
        ],
        "workingDir": agent.working_dir or environment.WORKSPACE,
    }


def _container(name: str, image: str, user: int, settings: RenderSettings) -> dict[str, Any]:
    return {
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "name": name,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": user,
            "runAsNonRoot": True,
            "runAsUser": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }


def _volumes(settings: RenderSettings) -> list[dict[str, Any]]:
    token = {
        "serviceAccountToken": {
            "audience": TOKEN_AUDIENCE,
            "expirationSeconds": TOKEN_SECONDS,
            "path": "token",
        }
    }
    return [
        {"name": "token", "projected": {"defaultMode": 0o444, "sources": [token]}},
        {"emptyDir": {"sizeLimit": "1Mi"}, "name": "state"},
        {"emptyDir": {"sizeLimit": settings.workspace_size}, "name": "workspace"},
        {"emptyDir": {"sizeLimit": settings.tmp_size}, "name": "tmp"},
    ]


def _plain(amounts: Amounts) -> dict[str, dict[str, str]]:
    return {"limits": dict(amounts.limits), "requests": dict(amounts.requests)}


def _runtime_class(task: AgentTask, role: AgentRole) -> str | None:
    wanted, given = task.spec.agent.runtime_class_name, role.spec.agent.runtime_class_name
    if wanted is not None and wanted != given:
        raise Refusal(
            Code.OUT_OF_SCOPE,
            f"runtimeClassName {wanted} is not the {given or 'default'} of the role",
            rule="agent.runtimeClassName",
            allowed=given or "none",
            ask="leave runtimeClassName out of the task",
        )
    return given


def _check_image(task: AgentTask, role: AgentRole) -> None:
    images = role.spec.agent.images
    if not glob.matches_any(images, task.spec.agent.image):
        raise Refusal(
            Code.OUT_OF_SCOPE,
            f"image {task.spec.agent.image} is none that role {role.metadata.name} runs",
            rule="agent.images",
            allowed=", ".join(images) or "no image: the role names none",
            ask="use an image that the role allows, or have it added to the role's agent.images",
        )
