"""Settings of a connector, one environment variable each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from doorward.core.action import MAX_ANSWER
from doorward.core.settings import address, boolean, origin, setting


def _answer(text: str) -> int:
    """More than this would pass by the budgets that set room aside for it."""
    size = int(text)
    if not 0 < size <= MAX_ANSWER:
        raise ValueError(text)
    return size


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that one connector process needs to know."""

    connector: str = setting("DOORWARD_CONNECTOR", str, "name of the Connector object this process serves")
    type: str = setting("DOORWARD_CONNECTOR_TYPE", str, "vocabulary of the connector", "forge")
    provider: str = setting("DOORWARD_PROVIDER", str, "dialect of the upstream: gitea or github", "gitea")
    audience: str = setting("DOORWARD_AUDIENCE", str, "the Connector's spec.audience, e.g. connector:code")
    upstream: str = setting("DOORWARD_UPSTREAM", origin, "the Connector's spec.endpoint, the fixed origin")
    upstream_ca: Path | None = setting(
        "DOORWARD_UPSTREAM_CA", Path, "PEM file that alone vouches for the upstream; else the system's", None
    )
    upstream_plaintext: bool = setting(
        "DOORWARD_UPSTREAM_PLAINTEXT",
        boolean,
        "accept an http upstream: the credential travels in clear",
        default=False,
    )
    upstream_seconds: float = setting("DOORWARD_UPSTREAM_SECONDS", float, "seconds for an answer", 20.0)
    max_response: int = setting(
        "DOORWARD_MAX_RESPONSE", _answer, f"largest answer in bytes, at most {MAX_ANSWER}", MAX_ANSWER
    )
    concurrency: int = setting("DOORWARD_CONCURRENCY", int, "actions carried out at the same time", 64)
    requests_per_second: float = setting(
        "DOORWARD_REQUESTS_PER_SECOND", float, "requests from one address, sustained", 50.0
    )
    request_burst: int = setting(
        "DOORWARD_REQUEST_BURST", int, "requests from one address that may come at once", 200
    )
    credential_file: Path = setting(
        "DOORWARD_CREDENTIAL_FILE",
        Path,
        "file with the upstream's token",
        Path("/var/run/doorward/credential/token"),
    )
    issuer: str = setting(
        "DOORWARD_ISSUER", str, "issuer of capabilities", "https://doorward-broker.doorward-system.svc"
    )
    broker_url: str = setting(
        "DOORWARD_BROKER_URL",
        origin,
        "the broker's listener for connectors",
        "https://doorward-broker.doorward-system.svc:8444",
    )
    ca_file: Path = setting(
        "DOORWARD_CA_FILE", Path, "PEM bundle that vouches for the broker", Path("/etc/doorward/ca/ca.crt")
    )
    token_file: Path = setting(
        "DOORWARD_TOKEN_FILE",
        Path,
        "projected token with audience doorward-redemptions",
        Path("/var/run/doorward/token/token"),
    )
    tls_certificate: Path = setting(
        "DOORWARD_TLS_CERTIFICATE", Path, "certificate of the listener", Path("/etc/doorward/tls/tls.crt")
    )
    tls_key: Path = setting(
        "DOORWARD_TLS_KEY", Path, "key of the listener", Path("/etc/doorward/tls/tls.key")
    )
    listen: tuple[str, int] = setting(
        "DOORWARD_LISTEN",
        address,
        "address and port of the listener",
        ("0.0.0.0", 8443),  # noqa: S104 - a Service
    )
    ops_listen: tuple[str, int] = setting(
        "DOORWARD_OPS_LISTEN",
        address,
        "metrics and probes, plain http",
        ("0.0.0.0", 9090),  # noqa: S104 - probes
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")
