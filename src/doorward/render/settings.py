"""What rendering depends on besides the task: read by operator, admission and broker alike.

The chart writes it as `render.json` into a ConfigMap; all three mount the same one, so that all
three render the same pod. The CA bundle and the broker's address come from the running cluster.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from doorward.core import strictjson
from doorward.errors import ConfigError, Refusal
from doorward.render.quantity import canonical

MAX_BYTES: Final = 256 * 1024

AMOUNTS: Final = ("cpu", "memory", "ephemeral-storage")
"""The kinds of compute that are rendered, in order."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Requests and limits of one container in canonical quantities."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


_DOOR: Final = Amounts(
    {"cpu": "20m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
    {"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
)
_AGENT: Final = Amounts(
    {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
    {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "2Gi"},
)
_TOLERATIONS: Final = tuple(
    {
        "effect": "NoExecute",
        "key": f"node.kubernetes.io/{key}",
        "operator": "Exists",
        "tolerationSeconds": 300,
    }
    for key in ("not-ready", "unreachable")
)


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """Everything a pod gets that neither its task nor its role says."""

    door_image: str
    """Image of the sidecar, by digest in production."""
    broker_ip: str
    """ClusterIP of the broker's Service: task pods have no DNS."""
    ca_pem: str
    """CA bundle that the sidecar verifies broker and connectors with."""
    release_namespace: str = "doorward-system"
    """Namespace of the broker."""
    broker_host: str = "doorward-broker.doorward-system.svc"
    """Name in the broker's certificate; resolved by hostAliases."""
    broker_port: int = 8443
    """Port of the broker for doors."""
    door_python: str = "/usr/local/bin/python3"
    """Interpreter in the sidecar image, for the startup probe."""
    door_resources: Amounts = _DOOR
    """Compute of the sidecar."""
    agent_resources: Amounts = _AGENT
    """Compute of an agent whose task and role say nothing, and the most it gets then."""
    workspace_size: str = "1Gi"
    """Size limit of /workspace."""
    tmp_size: str = "256Mi"
    """Size limit of /tmp."""
    image_pull_policy: str = "IfNotPresent"
    """Pull policy of both containers; `Always` where the AlwaysPullImages plugin is on."""
    startup_seconds: int = 120
    """How long the sidecar may take to open its session and prove the fence."""
    termination_grace_seconds: int = 10
    """Time between SIGTERM and SIGKILL."""
    node_selector: Mapping[str, str] | None = None
    """Labels of the nodes that task pods run on."""
    tolerations: tuple[Mapping[str, Any], ...] = _TOLERATIONS
    """Tolerations of task pods: all of them, since the server adds these two where they are missing."""
    priority: int = 0
    """Priority of task pods; what the cluster's default PriorityClass says."""
    priority_class_name: str | None = None
    """PriorityClass of task pods; the default one where the cluster has it."""
    preemption_policy: str = "PreemptLowerPriority"
    """Preemption policy of that class."""

    @classmethod
    def load(cls, document: bytes, *, ca_pem: str, broker_ip: str) -> RenderSettings:
        """Read `render.json`: camelCase members, all but `doorImage` optional.

        Raises `ConfigError` that names every wrong member.
        """
        try:
            raw = strictjson.load_object(document, max_bytes=MAX_BYTES)
        except Refusal as refusal:
            raise ConfigError(f"render.json: {refusal.detail}") from refusal
        names = {_camel(item.name): item.name for item in fields(cls)}
        wrong = sorted(set(raw) - set(names) | set(raw) & {"caPem", "brokerIp"})
        values: dict[str, Any] = {"ca_pem": ca_pem, "broker_ip": broker_ip}
        faults = [f"{member}: not a member of render.json" for member in wrong]
        for member in sorted(set(raw) - set(wrong)):
            _convert(member, raw[member], values, names[member], faults)
        faults += _missing(values)
        if faults:
            raise ConfigError("; ".join(faults))
        return cls(**values)

    def document(self) -> dict[str, Any]:
        """What `load` reads, every member spelt out, but for the bundle and the broker's address.

        So it means the same to a release whose defaults are others.
        """
        values = {item.name: _plain(getattr(self, item.name)) for item in fields(self)}
        return {
            _camel(name): found
            for name, found in values.items()
            if name not in {"ca_pem", "broker_ip"} and found is not None
        }


def _plain(found: Any) -> Any:
    match found:
        case Amounts():
            return {"requests": dict(found.requests), "limits": dict(found.limits)}
        case Mapping():
            return dict(found)
        case tuple():
            return [dict(item) for item in found]
        case _:
            return found


def _convert(member: str, found: Any, values: dict[str, Any], name: str, faults: list[str]) -> None:
    try:
        values[name] = _PARSERS.get(name, _text)(found)
    except ValueError as error:
        faults.append(f"{member}: {error}")


def _missing(values: Mapping[str, Any]) -> list[str]:
    faults = []
    if not values.get("door_image"):
        faults.append("doorImage: the sidecar's image is required")
    if "-----BEGIN CERTIFICATE-----" not in values["ca_pem"]:
        faults.append("the CA bundle holds no certificate")
    try:
        ipaddress.ip_address(values["broker_ip"])
    except ValueError:
        faults.append(f"the broker's address {values['broker_ip']!r} is not an IP address")
    return faults


def _text(found: Any) -> str:
    if not isinstance(found, str) or not found:
        msg = "must be a text"
        raise ValueError(msg)
    return found


def _number(found: Any) -> int:
    if type(found) is not int or found < 0:
        msg = "must be a whole number"
        raise ValueError(msg)
    return found


def _quantity(found: Any) -> str:
    return canonical(_text(found))


def _choice(*choices: str) -> Any:
    def parse(found: Any) -> str:
        if found not in choices:
            msg = f"must be one of {', '.join(choices)}"
            raise ValueError(msg)
        return str(found)

    return parse


def _texts(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        msg = "must be an object of texts"
        raise ValueError(msg)  # noqa: TRY004 - every fault of the file is one kind of error
    return {key: _text(item) for key, item in found.items()}


def _amounts(found: Any) -> Amounts:
    if not isinstance(found, dict) or set(found) != {"requests", "limits"}:
        msg = "must be {requests, limits}"
        raise ValueError(msg)
    requests, limits = (
        {key: canonical(text) for key, text in _texts(found[part]).items()} for part in ("requests", "limits")
    )
    if set(requests) != set(AMOUNTS) or set(limits) != set(AMOUNTS):
        msg = f"requests and limits must each name {', '.join(AMOUNTS)}"
        raise ValueError(msg)
    return Amounts(requests, limits)


def _tolerations(found: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        msg = "must be a list of tolerations"
        raise ValueError(msg)
    return tuple(found)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_PARSERS: Final[Mapping[str, Any]] = {
    "broker_port": _number,
    "startup_seconds": _number,
    "termination_grace_seconds": _number,
    "priority": _number,
    "door_resources": _amounts,
    "agent_resources": _amounts,
    "workspace_size": _quantity,
    "tmp_size": _quantity,
    "image_pull_policy": _choice("IfNotPresent", "Always", "Never"),
    "preemption_policy": _choice("PreemptLowerPriority", "Never"),
    "node_selector": _texts,
    "tolerations": _tolerations,
}
