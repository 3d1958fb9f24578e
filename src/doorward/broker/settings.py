"""What the broker reads from its environment."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from doorward.broker.grading import Steps
from doorward.core.settings import address, setting

_CANARY: Final = re.compile(r"([a-z0-9-]+)=(\[[0-9a-fA-F:]+\]|[^\s:/]+):([0-9]{1,5})/(tcp|udp)")


@dataclass(frozen=True, slots=True)
class CanaryAddress:
    """A listener that no task pod may reach."""

    name: str
    host: str
    port: int
    protocol: str

    def __repr__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.name}={host}:{self.port}/{self.protocol}"


def canaries(text: str) -> tuple[CanaryAddress, ...]:
    """`name=host:port/protocol`, separated by commas; an empty text is none."""
    return tuple(_canary(item.strip()) for item in text.split(",") if item.strip())


def _canary(text: str) -> CanaryAddress:
    found = _CANARY.fullmatch(text)
    if found is None or not 0 < int(found[3]) <= 65535:
        msg = f"{text!r} is not name=host:port/tcp or name=host:port/udp"
        raise ValueError(msg)
    return CanaryAddress(found[1], found[2].strip("[]"), int(found[3]), found[4])


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = kind(text)
        if not number > 0:
            msg = "must be more than 0"
            raise ValueError(msg)
        return number

    return parse


def _seconds(text: str) -> float:
    return _positive(float)(text)


def _number(text: str) -> int:
    return int(_positive(int)(text))


def without_password(text: str) -> str:
    """A database address that anybody may read: environments are shown in many places."""
    try:
        password = urlsplit(text).password
    except ValueError:
        password = None
    if password is not None or "password=" in text:
        msg = "holds a password: put the address into a file and name that in DOORWARD_LEDGER_FILE"
        raise ValueError(msg)
    return text


def steps(text: str) -> Steps:
    """Two or three counts with commas, each at most the next: slow, with people, frozen."""
    found = [_number(part) for part in text.split(",")]
    if len(found) not in {2, 3} or found != sorted(found):
        msg = "must be two or three rising numbers with commas, e.g. 60,300"
        raise ValueError(msg)
    return Steps(*found)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the broker, each with its variable, its sentence and its default."""

    namespace: str = setting(
        "DOORWARD_NAMESPACE", str, "namespace of the release, where the heartbeat is", "doorward-system"
    )
    issuer: str = setting(
        "DOORWARD_ISSUER", str, "issuer of capabilities", "https://doorward-broker.doorward-system.svc"
    )
    listen: tuple[str, int] = setting(
        "DOORWARD_LISTEN",
        address,
        "address of the listener for doors",
        ("0.0.0.0", 8443),  # noqa: S104
    )
    connectors_listen: tuple[str, int] = setting(
        "DOORWARD_CONNECTORS_LISTEN",
        address,
        "address of the listener for connectors",
        ("0.0.0.0", 8444),  # noqa: S104
    )
    ops_listen: tuple[str, int] = setting(
        "DOORWARD_OPS_LISTEN",
        address,
        "address of /metrics, /livez and /readyz",
        ("0.0.0.0", 9090),  # noqa: S104
    )
    tls_certificate: Path = setting(
        "DOORWARD_TLS_CERTIFICATE", Path, "certificate of both listeners", Path("/etc/doorward/tls/tls.crt")
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
        "file with the render settings of the last day; pods of tasks that run were made with them",
        Path("/etc/doorward/renderings/history.json"),
    )
    broker_ip: str = setting(
        "DOORWARD_BROKER_IP", str, "address of the broker's Service; looked up by its name if empty", ""
    )
    ledger_url: str = setting(
        "DOORWARD_LEDGER_URL",
        without_password,
        "database of the ledger; an address with a password belongs into a file",
        "sqlite:////var/lib/doorward/ledger.db",
    )
    ledger_file: Path | None = setting(
        "DOORWARD_LEDGER_FILE",
        Path,
        "file that holds the address of the ledger's database, instead of `DOORWARD_LEDGER_URL`; "
        "read anew for each connection",
        None,
    )
    keys: Path = setting(
        "DOORWARD_KEYS",
        Path,
        "directory of the signing keys, made at the first start",
        Path("/var/lib/doorward/keys"),
    )
    checkpoint_key: Path | None = setting(
        "DOORWARD_CHECKPOINT_KEY",
        Path,
        "file with the Ed25519 key, as PEM, that signs epochs, the same for all brokers of one ledger; "
        "made in `DOORWARD_KEYS` if not set",
        None,
    )
    key_days: int = setting("DOORWARD_KEY_DAYS", _number, "days after which a new signing key is made", 30)
    canaries: tuple[CanaryAddress, ...] = setting(
        "DOORWARD_CANARIES",
        canaries,
        "listeners that task pods must not reach, as name=host:port/tcp or /udp, separated by commas; "
        "without one nothing is decided",
        canaries(
            "canary-tcp=doorward-canary.doorward-system.svc:8471/tcp,"
            "canary-udp=doorward-canary.doorward-system.svc:8471/udp"
        ),
    )
    max_body: int = setting("DOORWARD_MAX_BODY", _number, "largest request body in bytes", 1024 * 1024)
    requests_per_second: float = setting(
        "DOORWARD_REQUESTS_PER_SECOND", _seconds, "requests of one session, sustained; twice of one pod", 50.0
    )
    request_burst: int = setting(
        "DOORWARD_REQUEST_BURST", _number, "requests of one session that may come at once", 200
    )
    connector_requests_per_second: float = setting(
        "DOORWARD_CONNECTOR_REQUESTS_PER_SECOND", _seconds, "requests of one connector pod", 5000.0
    )
    openings_per_minute: float = setting(
        "DOORWARD_OPENINGS_PER_MINUTE", _seconds, "session openings of one pod, sustained", 20.0
    )
    max_denials: int = setting("DOORWARD_MAX_DENIALS", _number, "denials after which a task is frozen", 1000)
    denials_written: int = setting(
        "DOORWARD_DENIALS_WRITTEN",
        _number,
        "denials of one task in a minute that are written one by one; the rest is written as one sum",
        30,
    )
    refusals_written: int = setting(
        "DOORWARD_REFUSALS_WRITTEN", _number, "the same for refused redemptions of one connector", 120
    )
    denial_steps: Steps = setting(
        "DOORWARD_DENIAL_STEPS",
        steps,
        "denials of one task within a minute that slow it, and that make it need people",
        Steps(60, 300),
    )
    burst_steps: Steps = setting(
        "DOORWARD_BURST_STEPS",
        steps,
        "calls of one pod within a minute, too fast to be looked at, that slow its task, make it need "
        "people, and freeze it",
        Steps(300, 1500, 5000),
    )
    replay_steps: Steps = setting(
        "DOORWARD_REPLAY_STEPS",
        steps,
        "replays of one task's capabilities within an hour that slow it, make it need people, and freeze it",
        Steps(1, 3, 10),
    )
    grade_seconds: float = setting(
        "DOORWARD_GRADE_SECONDS",
        _seconds,
        "how long a task stays slow, or in need of people, after it last gave reason",
        600.0,
    )
    slow_factor: int = setting(
        "DOORWARD_SLOW_FACTOR", _number, "how many times fewer calls a slowed task may make", 10
    )
    heartbeat_seconds: float = setting(
        "DOORWARD_HEARTBEAT_SECONDS",
        _seconds,
        "age of the news from the cluster beyond which nothing is decided",
        3.0,
    )
    kubelet_seconds: float = setting(
        "DOORWARD_KUBELET_SECONDS", _seconds, "how long a pod's status may lag behind its door", 10.0
    )
    drain_seconds: float = setting(
        "DOORWARD_DRAIN_SECONDS", _seconds, "time for running requests after SIGTERM", 10.0
    )
    log_level: str = setting("DOORWARD_LOG_LEVEL", str, "debug, info, warning or error", "info")

    @property
    def ledger(self) -> str | Path:
        """Where the ledger is, as `doorward.ledger.store.engine` takes it."""
        return self.ledger_file or self.ledger_url
