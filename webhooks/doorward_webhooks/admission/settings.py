"""What admission reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from doorward.core.settings import address, setting
from doorward_webhooks.admission.known import SCHEDULER


def _users(text: str) -> frozenset[str]:
    found = frozenset(part.strip() for part in text.split(",") if part.strip())
    if not found:
        msg = "must name at least one user"
        raise ValueError(msg)
    return found


@dataclass(frozen=True)
class Settings:
    """Settings of the process, each with its variable, its sentence and its default."""

    operator: str = setting(
        "DOORWARD_OPERATOR",
        str,
        "user name of the operator's service account, the only one that makes pods",
        "system:serviceaccount:doorward-system:doorward-operator",
    )
    schedulers: frozenset[str] = setting(
        "DOORWARD_SCHEDULERS",
        _users,
        "users that may bind pods to nodes, separated by commas",
        frozenset({SCHEDULER}),
    )
    listen: tuple[str, int] = setting(
        "DOORWARD_LISTEN",
        address,
        "address and port of the webhook",
        ("0.0.0.0", 9443),  # noqa: S104 - the API server calls from outside the pod
    )
    tls_certificate: Path = setting(
        "DOORWARD_TLS_CERTIFICATE", Path, "certificate of the webhook", Path("/etc/doorward/tls/tls.crt")
    )
    tls_key: Path = setting("DOORWARD_TLS_KEY", Path, "its key", Path("/etc/doorward/tls/tls.key"))
    render_file: Path = setting(
        "DOORWARD_RENDER_FILE",
        Path,
        "file with the render settings",
        Path("/etc/doorward/render/render.json"),
    )
    ca_file: Path = setting(
        "DOORWARD_CA_FILE", Path, "file with the CA bundle that doors get", Path("/etc/doorward/ca/ca.crt")
    )
    history_file: Path = setting(
        "DOORWARD_HISTORY_FILE",
        Path,
        "file with the render settings of the last day",
        Path("/etc/doorward/renderings/history.json"),
    )
    broker_ip: str = setting(
        "DOORWARD_BROKER_IP", str, "address of the broker's Service; looked up by its name if empty", ""
    )
    drain_seconds: int = setting(
        "DOORWARD_DRAIN_SECONDS",
        int,
        "how long to go on answering after SIGTERM: API servers keep idle connections",
        15,
    )
    census_seconds: int = setting(
        "DOORWARD_CENSUS_SECONDS", int, "time between two looks at all pods of enrolled namespaces", 120
    )
    pod_name: str = setting(
        "DOORWARD_POD_NAME", str, "name of this pod, for the Events it writes", "doorward-admission"
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")
    ops_listen: tuple[str, int] = setting(
        "DOORWARD_OPS_LISTEN",
        address,
        "address and port of /metrics, /livez and /readyz",
        ("0.0.0.0", 9090),  # noqa: S104 - the platform probes from outside the pod
    )
