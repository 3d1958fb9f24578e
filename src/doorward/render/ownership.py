"""Whose a pod is, by what only the operator writes; read by everybody who tells task pods from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from doorward.api.v1alpha1 import GROUP, VERSION, AgentTask
from doorward.render import names

_OWNER: Final = (f"{GROUP}/{VERSION}", AgentTask.__name__)


def made_for(pod: Mapping[str, Any]) -> str | None:
    """Name of the task that a pod was made for; None for a pod that is not one of ours.

    An annotation alone says nothing: anybody who made pods before the namespace was enrolled could
    write it, and a pod that is taken for a task's is ended with the task.
    """
    metadata = pod["metadata"]
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    if labels.get(names.MANAGED_BY) != names.PRODUCT or labels.get(names.COMPONENT) != names.TASK_COMPONENT:
        return None
    owners = [owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller") is True]
    if [(owner.get("apiVersion"), owner.get("kind")) for owner in owners] != [_OWNER]:
        return None
    task: str | None = annotations.get(names.TASK)
    return task if task == owners[0].get("name") else None
