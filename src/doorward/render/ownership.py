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
    labels = metadata.get("labels", {})
    if labels.get(names.MANAGED_BY) != names.PRODUCT or labels.get(names.COMPONENT) != names.TASK_COMPONENT:
        return None
    if not metadata.get("ownerReferences"):
        return _let_go(metadata)
    owners = [owner for owner in metadata["ownerReferences"] if owner.get("controller") is True]
    if [(owner.get("apiVersion"), owner.get("kind")) for owner in owners] != [_OWNER]:
        return None
    task: str | None = metadata.get("annotations", {}).get(names.TASK)
    return task if task == owners[0].get("name") else None


def _let_go(metadata: Mapping[str, Any]) -> str | None:
    """The task of a pod that belongs to nobody any more: `--cascade=orphan` takes the reference away.

    Every label and annotation must be there, and the name must be the one that follows from them.
    That makes it ours to end; `orphaned` says when.
    """
    labels, annotations = metadata["labels"], metadata.get("annotations", {})
    role, task, uid = labels.get(names.ROLE), annotations.get(names.TASK), annotations.get(names.TASK_UID)
    if not (role and task and uid) or names.task_labels(role).items() - labels.items():
        return None
    return str(task) if metadata.get("name") == names.pod_name(task, uid) else None


def orphaned(pod: Mapping[str, Any], task: Mapping[str, Any] | None) -> bool:
    """Whether the task of a pod of ours is gone; `task` is the AgentTask that has its name now, if any.

    A pod that was let go is ended once its task is being deleted or has finished, and not before.
    """
    if task is None:
        return True
    owners, uid = pod["metadata"].get("ownerReferences"), task["metadata"]["uid"]
    if owners:
        return all(owner.get("uid") != uid for owner in owners)
    over = "deletionTimestamp" in task["metadata"] or "finishedAt" in task.get("status", {})
    return over or pod["metadata"].get("annotations", {}).get(names.TASK_UID) != uid
