"""Settings of the door, one environment variable each; the operator renders them into the pod."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from doorward.core.settings import address, origin, setting

MAX_WATCH_SECONDS: Final = 45.0
"""The broker decides on a report of the fence for 90 seconds: one may get lost before the next counts."""


def _watch(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= MAX_WATCH_SECONDS:
        msg = f"must be more than 0 and at most {MAX_WATCH_SECONDS:g}"
        raise ValueError(msg)
    return seconds


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the sidecar needs to know before it has a session."""

    broker_url: str = setting(
        "DOORWARD_BROKER_URL",
        origin,
        "the broker's listener for doors",
        "https://doorward-broker.doorward-system.svc:8443",
    )
    ca_pem: str = setting("DOORWARD_CA_PEM", str, "PEM bundle that alone vouches for broker and connectors")
    token_file: Path = setting(
        "DOORWARD_TOKEN_FILE",
        Path,
        "projected token with audience doorward-broker",
        Path("/var/run/doorward/token/token"),
    )
    ready_file: Path = setting(
        "DOORWARD_READY_FILE",
        Path,
        "written when the agent may start; the startup probe looks for it",
        Path("/var/run/doorward/state/ready"),
    )
    listen: tuple[str, int] = setting(
        "DOORWARD_LISTEN", address, "address and port for the agent; loopback only", ("127.0.0.1", 8470)
    )
    node_ip: str = setting("DOORWARD_NODE_IP", str, "address of the node, whose kubelet must be out of reach")
    api_host: str = setting(
        "KUBERNETES_SERVICE_HOST", str, "address of the API server, which must be out of reach"
    )
    probe_seconds: float = setting(
        "DOORWARD_PROBE_SECONDS",
        float,
        "seconds without an answer after which a probe counts as blocked",
        1.0,
    )
    watch_seconds: float = setting(
        "DOORWARD_WATCH_SECONDS",
        _watch,
        f"seconds between two looks at the fence while the agent runs, at most {MAX_WATCH_SECONDS:g}",
        30.0,
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")
