"""What the compiler reads: the parts of pods, namespaces and policies that decide about traffic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devcluster.settings import NETWORK

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod that has an address and may use it."""

    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    ports: tuple[tuple[str, str, int], ...] = ()
    """Named ports: name, protocol, number."""


@dataclass(frozen=True)
class State:
    """A cluster as far as traffic is concerned."""

    pods: tuple[Pod, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by name."""
    policies: tuple[Object, ...]
    """NetworkPolicy objects as the API server gives them."""
    node_ips: tuple[str, ...] = (NETWORK.node_ip, NETWORK.gateway, "127.0.0.1")
    """Addresses of the node; what comes from them is always allowed (kubelet's probes)."""
    pod_cidr: str = NETWORK.pod_cidr
    closed: bool = True
    """Whether an address of `pod_cidr` that no known pod has is cut off, or passes as on most networks."""


def state_from(
    pods: Iterable[Object], namespaces: Iterable[Object], policies: Iterable[Object], *, closed: bool = True
) -> State:
    """Trim API objects. The order of the result does not depend on the order of the objects."""
    known = [pod for pod in map(pod_from, pods) if pod]
    return State(
        pods=tuple(sorted(known, key=lambda pod: (pod.namespace, pod.name))),
        namespaces={item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in namespaces},
        policies=tuple(sorted(policies, key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"]))),
        closed=closed,
    )


def pod_from(item: Object) -> Pod | None:
    """Trim one pod; None when it has no address (yet), has given it back, or uses the node's."""
    meta, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    ip = status.get("podIP")
    if not ip or spec.get("hostNetwork") or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    return Pod(meta["namespace"], meta["name"], ip, meta.get("labels") or {}, _named_ports(spec))


def _named_ports(spec: Object) -> tuple[tuple[str, str, int], ...]:
    sidecars = [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    containers = [*spec["containers"], *sidecars]
    return tuple(
        (port["name"], port.get("protocol") or "TCP", port["containerPort"])
        for container in containers
        for port in container.get("ports") or []
        if port.get("name")
    )
