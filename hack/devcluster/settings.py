"""Where things lie and which addresses they have: the one place both are written down."""

import os
from dataclasses import dataclass
from pathlib import Path

HACK = Path(__file__).resolve().parent.parent
"""The folder `hack/` of the checkout; the import root of this package."""

NAME = "doorward"
"""Name of the cluster, its node, its network namespace, its cgroup and its kind cluster."""


def cache() -> Path:
    """The folder for whatever is expensive to make again; `hack/env` exports the same one."""
    chosen = os.environ.get("DOORWARD_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(chosen or f"{home}/doorward")


def api_minor() -> str:
    """The minor of Kubernetes that the api tier shall run on, such as `1.33`; empty for the node's own."""
    return os.environ.get("DOORWARD_API_MINOR", "")


@dataclass(frozen=True)
class Layout:
    """Folders of one cluster."""

    run: Path
    """Sockets, process records, namespaces: short paths, worthless after a reboot."""
    state: Path
    """Data, logs, certificates, tokens: emptied by every `up` and by `down`."""

    @property
    def pki(self) -> Path:
        """Certificates and keys, readable by the owner only."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One file per program, and the audit log."""
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        """One record per running program."""
        return self.run / "pids"

    @property
    def kubeconfig(self) -> Path:
        """Admin access, usable from the host's own network namespace."""
        return self.state / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit events as JSON lines."""
        return self.logs / "audit.jsonl"

    @property
    def facts(self) -> Path:
        """What `hack/cluster env` prints: KEY=VALUE lines."""
        return self.state / "cluster.env"

    def make(self) -> None:
        """Make the folders that everything else expects."""
        for folder in (self.run, self.state, self.pki, self.logs, self.pids):
            folder.mkdir(parents=True, exist_ok=True)
        self.pki.chmod(0o700)


def layout() -> Layout:
    """The folders of this machine's cluster; without root, all of it lies in the cache.

    As root it does not: the forge runs as an ordinary user, who may not look into root's home.
    """
    if os.geteuid() == 0:
        return Layout(run=Path("/run/doorward"), state=Path("/var/lib/doorward"))
    return Layout(run=cache() / "cluster" / "run", state=cache() / "cluster")


@dataclass(frozen=True)
class Network:
    """Addresses of the local node. It lives in a namespace of its own, so they disturb nobody."""

    host_ip: str = "10.201.0.1"
    """The host's end of the veth pair; the forge listens here."""
    node_ip: str = "10.201.0.2"
    """The node's end; the API server listens here."""
    prefix: int = 30
    pod_cidr: str = "10.244.0.0/16"
    gateway: str = "10.244.0.1"
    """What pods see of the node: the address of every host-side veth."""
    service_cidr: str = "10.96.0.0/16"
    kubernetes_ip: str = "10.96.0.1"
    dns_ip: str = "10.96.0.10"
    metadata_ip: str = "169.254.169.254"
    api_port: int = 6443
    gitea_port: int = 3000


NETWORK = Network()
