"""The names and labels that tie a task's objects together; every part agrees on them through here.

Labels say the role and never the task: a network plugin that derives identities from labels would
run out of them at some thousands of tasks. The task is in annotations and in the owner reference.
"""

from __future__ import annotations

import hashlib
from typing import Final

ENFORCED: Final = "doorward.dev/enforced"
"""Label of an enrolled namespace; its value is `true`."""
ROLE: Final = "doorward.dev/role"
"""Label of a task pod: its role."""
CONNECTOR: Final = "doorward.dev/connector"
"""Label of a connector's pods: the name of the Connector."""
TASK: Final = "doorward.dev/task"
"""Annotation of a task pod: name of its AgentTask."""
TASK_UID: Final = "doorward.dev/task-uid"
"""Annotation of a task pod: UID of its AgentTask."""
RENDERER_ANNOTATION: Final = "doorward.dev/renderer"
"""Annotation of a task pod: version of the renderer that made it."""
RENDERER: Final = "1"
"""Grows whenever the same input renders to another pod."""

NAME: Final = "app.kubernetes.io/name"
COMPONENT: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
PRODUCT: Final = "doorward"
TASK_COMPONENT: Final = "task"

DEFAULT_DENY: Final = "doorward-default-deny"
"""NetworkPolicy that closes an enrolled namespace both ways."""
DOOR_CONTAINER: Final = "door"
AGENT_CONTAINER: Final = "agent"

_NAME_PART: Final = 54
"""63 characters of a host name less a hyphen and eight digits."""


def pod_name(task: str, uid: str) -> str:
    """The one pod name of a task: two operators that race collide on it instead of making two pods."""
    suffix = hashlib.sha256(uid.encode()).hexdigest()[:8]
    return f"{task[:_NAME_PART].rstrip('-.')}-{suffix}"


def role_object(role: str) -> str:
    """Name of the ServiceAccount and of the NetworkPolicy of a role."""
    return f"doorward-role-{role}"


def managed() -> dict[str, str]:
    """Labels of every object that the operator makes."""
    return {NAME: PRODUCT, MANAGED_BY: PRODUCT}


def task_labels(role: str) -> dict[str, str]:
    """Labels of the task pods of a role."""
    return {**managed(), COMPONENT: TASK_COMPONENT, ROLE: role}


def is_enrolled(labels: dict[str, str]) -> bool:
    """Whether a namespace with these labels is one where tasks run."""
    return labels.get(ENFORCED) == "true"
