"""Run AgentTasks the way their owners do, and wait for what happens to them."""

from __future__ import annotations

from typing import Any

from devcluster import wait
from devcluster.commands import CommandError
from testbed.site import AGENTS, Site

FINAL = frozenset({"Complete", "Expired", "Failed", "Succeeded"})


def manifest(name: str, role: str, agent: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """An AgentTask in the enrolled namespace."""
    return {
        "apiVersion": "doorward.dev/v1alpha1",
        "kind": "AgentTask",
        "metadata": {"name": name, "namespace": AGENTS},
        "spec": {"role": role, "agent": agent, "deadline": "10m", **spec},
    }


def get(site: Site, name: str) -> dict[str, Any]:
    """The task as the API server has it."""
    found: dict[str, Any] = site.kubectl.get("agenttask", name, "-n", AGENTS)
    return found


def phase(site: Site, name: str) -> str:
    """The task's phase; empty while nobody has looked at it."""
    return str(get(site, name).get("status", {}).get("phase", ""))


def finished(site: Site, name: str, seconds: float = 300) -> dict[str, Any]:
    """Wait until the task is over and return it."""
    wait.until(lambda: phase(site, name) in FINAL, f"task {name} is over", seconds, every=0.3)
    return get(site, name)


def pod_of(site: Site, name: str, seconds: float = 240) -> dict[str, Any]:
    """Wait for the task's pod and return it."""

    def look() -> dict[str, Any] | None:
        pod = get(site, name).get("status", {}).get("podName")
        found: dict[str, Any] | None = site.kubectl.get("pod", pod, "-n", AGENTS) if pod else None
        return found

    return wait.until(look, f"task {name} has a pod", seconds, every=0.2)


def said(site: Site, name: str) -> str:
    """What the agent container of the task has printed."""
    pod = pod_of(site, name)["metadata"]["name"]

    def look() -> list[str]:
        return [site.kubectl("logs", pod, "-n", AGENTS, "-c", "agent")]

    return wait.until(look, f"the log of task {name}", 120)[0]


def remove(site: Site, name: str) -> None:
    """Delete the task and wait until its pod is gone."""
    site.kubectl("delete", "agenttask", name, "-n", AGENTS, "--ignore-not-found", "--wait=false")
    gone(site, name)


def refused(site: Site, *documents: dict[str, Any]) -> str:
    """Apply what must be refused; the server's sentence. Raises `AssertionError` if it is taken."""
    try:
        site.kubectl.apply(*documents)
    except CommandError as error:
        return str(error)
    raise AssertionError("applied, and should not have been")


def running(site: Site, name: str, seconds: float = 240, door_restarts: int = 0) -> dict[str, Any]:
    """Wait until the agent runs behind an open door and return the pod.

    After `door_restarts` at least: what the kubelet says of a door that has just ended may be old.
    """

    def look() -> dict[str, Any] | None:
        pod = pod_of(site, name, seconds)
        states = pod["status"].get("containerStatuses", []) + pod["status"].get("initContainerStatuses", [])
        up = {
            state["name"]: int(state["restartCount"])
            for state in states
            if "running" in state["state"] and state.get("started")
        }
        return pod if "agent" in up and up.get("door", -1) >= door_restarts else None

    return wait.until(look, f"task {name} runs", seconds, every=0.3)


def gone(site: Site, name: str, seconds: float = 240) -> None:
    """Wait until the task and its pod are gone."""

    def look() -> bool:
        pods = site.kubectl.get("pods", "-n", AGENTS)["items"]
        owners = {pod["metadata"].get("annotations", {}).get("doorward.dev/task") for pod in pods}
        left = {task["metadata"]["name"] for task in site.kubectl.get("agenttasks", "-n", AGENTS)["items"]}
        return name not in owners | left

    wait.until(look, f"task {name} is gone", seconds)
