"""The variables that containers of a task pod get: addresses and constants, never a credential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from doorward.api.v1alpha1 import Connector, EnvVar

PLACEHOLDER: Final = "doorward-placeholder"
"""Stands where clients insist on a key. A constant: admission knows it, and it opens nothing."""
DOOR_URL: Final = "http://127.0.0.1:8470"
DOOR_LISTEN: Final = "127.0.0.1:8470"
TOKEN_DIRECTORY: Final = "/var/run/doorward/token"  # noqa: S105 - a path
STATE_DIRECTORY: Final = "/var/run/doorward/state"
READY_FILE: Final = f"{STATE_DIRECTORY}/ready"
WORKSPACE: Final = "/workspace"

_ADDRESSES: Final[Mapping[str, tuple[str, ...]]] = {"forge": ("GITHUB_API_URL",)}
"""Connector type to the variables in which existing clients look for its address."""
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"forge": ("GITHUB_TOKEN", "GITEA_TOKEN")}
"""Connector type to the variables in which existing clients insist on a key."""


def agent_variables(own: Sequence[EnvVar], connectors: Sequence[Connector]) -> list[dict[str, Any]]:
    """The agent's variables: the task's own, then ours, which win where both name one."""
    ours = _ours(connectors)
    kept = {item.name: item.value for item in own if item.name not in ours}
    return [_variable(name, text) for name, text in {**kept, **ours}.items()]


def door_variables(broker_url: str, ca_pem: str) -> list[dict[str, Any]]:
    """The sidecar's variables."""
    fixed = {
        "DOORWARD_BROKER_URL": broker_url,
        "DOORWARD_CA_PEM": ca_pem,
        "DOORWARD_LISTEN": DOOR_LISTEN,
        "DOORWARD_READY_FILE": READY_FILE,
        "DOORWARD_TOKEN_FILE": f"{TOKEN_DIRECTORY}/token",
    }
    node = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIP"}}
    return [
        *(_variable(name, text) for name, text in fixed.items()),
        {"name": "DOORWARD_NODE_IP", "valueFrom": node},
    ]


def _ours(connectors: Sequence[Connector]) -> dict[str, str]:
    variables = {
        "HOME": WORKSPACE,
        "DOORWARD_URL": DOOR_URL,
        "DOORWARD_CONNECTORS": ",".join(item.metadata.name for item in connectors),
    }
    for connector in connectors:
        kind = connector.spec.type
        address = f"{DOOR_URL}/via/{connector.metadata.name}"
        found = dict.fromkeys(_ADDRESSES.get(kind, ()), address) | dict.fromkeys(
            _KEYS.get(kind, ()), PLACEHOLDER
        )
        variables = {**found, **variables}  # the first connector of a type keeps its variables
    return variables


def _variable(name: str, text: str) -> dict[str, Any]:
    # The server drops an empty value, so an equal pod must not have one.
    return {"name": name, "value": text} if text else {"name": name}
