"""What is kept of an object in memory: with ten thousand tasks, everything else is ballast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from doorward.kube import Object
from doorward.render import names

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
)
_POD_STATUS: Final = ("phase", "reason", "message", "startTime")
_CONTAINER: Final = ("name", "started", "state", "restartCount")
_CONDITIONS: Final = frozenset({"PodScheduled", "DisruptionTarget"})


def whole(found: Mapping[str, Any]) -> Object:
    """The object without the bookkeeping of the server and of kubectl."""
    kept = {key: item for key, item in found.items() if key != "metadata"}
    return {**kept, "metadata": _metadata(found)}


def account(found: Mapping[str, Any]) -> Object:
    """The service account with its annotations: clouds give identities by them."""
    kept, annotations = whole(found), found["metadata"].get("annotations")
    if annotations:
        kept["metadata"]["annotations"] = annotations
    return kept


def task(found: Mapping[str, Any]) -> Object:
    """The task without its input, which only the agent reads."""
    kept = whole(found)
    spec = {key: item for key, item in kept.get("spec", {}).items() if key != "input"}
    return {**kept, "spec": spec}


def pod(found: Mapping[str, Any]) -> Object:
    """Who the pod is, whose, and how it is doing; not its spec."""
    status = found.get("status", {})
    annotations = found["metadata"].get("annotations", {})
    ours = {key: text for key, text in annotations.items() if key in {names.TASK, names.TASK_UID}}
    statuses = {
        list_: [_picked(item, _CONTAINER) for item in status.get(list_, ())]
        for list_ in ("initContainerStatuses", "containerStatuses")
    }
    conditions = [item for item in status.get("conditions", ()) if item.get("type") in _CONDITIONS]
    return {
        "metadata": {**_metadata(found), "annotations": ours},
        "status": {**_picked(status, _POD_STATUS), **statuses, "conditions": conditions},
    }


def namespace(found: Mapping[str, Any]) -> Object:
    """Name and labels."""
    return {"metadata": _metadata(found)}


def _metadata(found: Mapping[str, Any]) -> Object:
    return _picked(found["metadata"], _METADATA)


def _picked(found: Mapping[str, Any], keys: tuple[str, ...]) -> Object:
    return {key: found[key] for key in keys if key in found}
