"""What the operator reads from its environment."""

from __future__ import annotations

from dataclasses import dataclass

from doorward.core.settings import setting


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = "must be at least 1"
        raise ValueError(msg)
    return number


@dataclass(frozen=True)
class Settings:
    """Settings of the process, each with its variable, its sentence and its default."""

    pod_name: str = setting(
        "DOORWARD_POD_NAME", str, "name of this pod: its identity in the election; the host name if empty", ""
    )
    namespace: str = setting(
        "DOORWARD_NAMESPACE", str, "namespace of the release, where the Lease is", "doorward-system"
    )
    render_file: str = setting(
        "DOORWARD_RENDER_FILE", str, "file with the render settings", "/etc/doorward/render/render.json"
    )
    ca_file: str = setting(
        "DOORWARD_CA_FILE", str, "file with the CA bundle that doors get", "/etc/doorward/ca/ca.crt"
    )
    broker_ip: str = setting(
        "DOORWARD_BROKER_IP", str, "address of the broker's Service; looked up by its name if empty", ""
    )
    workers: int = setting("DOORWARD_WORKERS", _positive, "how many keys are worked on at once", 64)
    writes_per_second: int = setting(
        "DOORWARD_WRITES_PER_SECOND", _positive, "writes to the API server per second, sustained", 200
    )
    write_burst: int = setting("DOORWARD_WRITE_BURST", _positive, "writes that may come at once", 400)
    resync_seconds: int = setting(
        "DOORWARD_RESYNC_SECONDS", _positive, "time between two comparisons with the API server", 600
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")
    ops_port: int = setting("DOORWARD_OPS_PORT", int, "port of /metrics, /livez and /readyz", 9090)
