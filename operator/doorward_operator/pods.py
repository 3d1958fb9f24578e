"""What the state of a pod says about its task: pure reading of `status`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import Phase
from doorward.kube import Object
from doorward.render.names import AGENT_CONTAINER, DOOR_CONTAINER
from doorward_operator.reasons import SENTENCES, Reason

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_ON_THE_WAY: Final = frozenset({"PodInitializing", "ContainerCreating"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one aspect; the reason is a `Reason`, or that of a `Code`."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended."""

    phase: Phase
    finding: Finding
    at: str | None = None
    """When, as the kubelet says; None where only the reader knows."""


def finding(reason: Reason, detail: str = "") -> Finding:
    """The reason with its sentence and what the cluster says about it."""
    sentence = SENTENCES[reason]
    return Finding(reason, f"{sentence} {detail}".strip()[:1024])


def fence(pod: Object) -> Finding:
    """Whether the door stands: the kubelet sets `started` when the sidecar's startup probe has passed."""
    door = _container(pod, "initContainerStatuses", DOOR_CONTAINER)
    if door.get("started") is True:
        return finding(Reason.FENCE_PROVEN)
    if door.get("restartCount", 0) > 0 and started_at(pod) is None:
        return finding(Reason.DOOR_FAILING, "See the log of the container door.")
    return finding(Reason.FENCE_PENDING)


def running(pod: Object) -> Finding:
    """Whether the agent runs, and if not, what it waits for."""
    agent = _container(pod, "containerStatuses", AGENT_CONTAINER).get("state", {})
    if "running" in agent:
        return finding(Reason.AGENT_RUNNING)
    if "terminated" in agent:
        return finding(Reason.AGENT_ENDED)
    return _unscheduled(pod) or _waiting(pod) or finding(Reason.POD_PENDING)


def started_at(pod: Object) -> str | None:
    """When the agent container started."""
    state = _container(pod, "containerStatuses", AGENT_CONTAINER).get("state", {})
    found = state.get("running") or state.get("terminated") or {}
    return found.get("startedAt")


def ended(pod: Object) -> End | None:
    """How the task ended, as soon as the pod tells; None while it has not."""
    status = pod.get("status", {})
    if status.get("reason") == "DeadlineExceeded":
        return expired()
    if status.get("reason") == "Evicted" or _condition(pod, "DisruptionTarget").get("status") == "True":
        detail = status.get("message") or _condition(pod, "DisruptionTarget").get("message", "")
        return End(Phase.FAILED, finding(Reason.EVICTED, detail))
    # An agent that is told to stop ends by itself: its exit code is not how its task ended.
    if "deletionTimestamp" in pod["metadata"]:
        return End(Phase.FAILED, finding(Reason.POD_DELETED))
    agent = _container(pod, "containerStatuses", AGENT_CONTAINER).get("state", {}).get("terminated")
    if agent is not None:
        return _agent_ended(agent)
    if has_ended(pod):
        return End(
            Phase.FAILED, finding(Reason.POD_FAILED, status.get("message") or status.get("reason") or "")
        )
    return None


def has_ended(pod: Object) -> bool:
    """Whether nothing of the pod runs any more, nor will again."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def expired() -> End:
    """The end of a task that ran for too long."""
    return End(Phase.EXPIRED, finding(Reason.DEADLINE_EXCEEDED, "Give it a longer deadline, or less to do."))


def start_time(pod: Object) -> float | None:
    """When the kubelet took the pod, in seconds since the epoch: deadlines count from there."""
    text = pod.get("status", {}).get("startTime")
    return None if text is None else seconds(text)


def seconds(timestamp: str) -> float:
    """An RFC 3339 time as seconds since the epoch."""
    return dt.datetime.fromisoformat(timestamp).timestamp()


def timestamp(now: float) -> str:
    """Seconds since the epoch as the API server writes times."""
    return dt.datetime.fromtimestamp(now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _agent_ended(terminated: Mapping[str, Any]) -> End:
    code, at = terminated.get("exitCode"), terminated.get("finishedAt")
    if code == 0:
        return End(Phase.SUCCEEDED, finding(Reason.AGENT_SUCCEEDED), at)
    if terminated.get("reason") == "OOMKilled":
        return End(Phase.FAILED, finding(Reason.OUT_OF_MEMORY, "Ask for more memory in agent.resources."), at)
    return End(
        Phase.FAILED, finding(Reason.AGENT_FAILED, f"It was {code}. See the log of the container agent."), at
    )


def _unscheduled(pod: Object) -> Finding | None:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return finding(Reason.UNSCHEDULABLE, scheduled.get("message", ""))
    return None


def _waiting(pod: Object) -> Finding | None:
    status = pod.get("status", {})
    for state in _waits(status.get("initContainerStatuses", ())), _waits(status.get("containerStatuses", ())):
        for name, waiting in state:
            reason = waiting.get("reason", "")
            if reason in _PULL:
                return finding(Reason.IMAGE_PULL_FAILED, f"{name}: {_detail(waiting)}")
            if reason and reason not in _ON_THE_WAY:
                return finding(Reason.CONTAINER_NOT_STARTED, f"{name}: {_detail(waiting)}")
    return None


def _waits(statuses: Iterable[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (item["name"], item["state"]["waiting"]) for item in statuses if "waiting" in item.get("state", {})
    ]


def _condition(pod: Object, type_: str) -> Mapping[str, Any]:
    found = pod.get("status", {}).get("conditions", ())
    return next((item for item in found if item.get("type") == type_), {})


def _container(pod: Object, list_: str, name: str) -> Mapping[str, Any]:
    found = pod.get("status", {}).get(list_, ())
    return next((item for item in found if item["name"] == name), {})


def _detail(found: Mapping[str, Any]) -> str:
    parts = (found.get("reason"), found.get("message"))
    return ": ".join(part for part in parts if part)
