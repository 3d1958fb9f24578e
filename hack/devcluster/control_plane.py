"""Command lines of etcd and the API server, the same for the node and for the bare API tier."""

from dataclasses import dataclass
from pathlib import Path

from devcluster import kubeconfig, tools
from devcluster.pki import Authority, Pair, service_account_keys

_AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""
"""Every request once, when it is answered: tests count writes here."""


@dataclass(frozen=True)
class Place:
    """Where one control plane listens and keeps its things."""

    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int
    data: Path
    """Folder for etcd's data."""
    pki: Path
    """Folder for certificates and keys."""
    audit_log: Path
    service_cidr: str
    kubernetes_ip: str

    @property
    def url(self) -> str:
        """The API server's address for clients."""
        return f"https://{self.address}:{self.api_port}"


@dataclass(frozen=True)
class Trust:
    """The authority of one control plane, its server certificate and the service account keys."""

    authority: Authority
    server: Pair
    accounts: Pair
    kubelet_client: Pair


def make_trust(place: Place) -> Trust:
    """Make the certificates of one control plane."""
    authority = Authority(place.pki)
    names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    )
    server = authority.issue(
        "apiserver",
        "kube-apiserver",
        names=(*names, "localhost", "127.0.0.1", place.address, place.kubernetes_ip),
    )
    kubelet_client = authority.issue(
        "apiserver-kubelet", "kube-apiserver-kubelet", groups=("system:masters",)
    )
    return Trust(authority, server, service_account_keys(place.pki), kubelet_client)


def admin(place: Place, trust: Trust, path: Path) -> Path:
    """Write a kubeconfig of the group `system:masters`, which RBAC cannot bind."""
    client = trust.authority.issue("admin", "admin", groups=("system:masters",))
    return kubeconfig.write(path, place.url, trust.authority.pair.cert, client)


def etcd(place: Place) -> tuple[str, ...]:
    """The command line of a single etcd on loopback."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (place.etcd_port, place.etcd_peer_port))
    return (
        "etcd",
        f"--data-dir={place.data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
        "--logger=zap",
        "--snapshot-count=10000",
        "--quota-backend-bytes=4294967296",
    )


def api_server(place: Place, trust: Trust, program: str = "kube-apiserver") -> tuple[str, ...]:
    """The command line of an API server. Writes the audit policy beside the certificates."""
    policy = place.pki / "audit-policy.yaml"
    policy.write_text(_AUDIT_POLICY)
    return (
        str(tools.path(program)),
        f"--etcd-servers=http://127.0.0.1:{place.etcd_port}",
        f"--bind-address={place.address}",
        f"--advertise-address={place.address}",
        f"--secure-port={place.api_port}",
        f"--service-cluster-ip-range={place.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--enable-aggregator-routing=true",
        "--kubelet-preferred-address-types=InternalIP",  # else exec and logs would resolve the node's name
        "--event-ttl=1h",
        f"--audit-log-path={place.audit_log}",
        f"--audit-policy-file={policy}",
        *_identity(trust),
    )


def _identity(trust: Trust) -> tuple[str, ...]:
    ca = trust.authority.pair.cert
    return (
        f"--tls-cert-file={trust.server.cert}",
        f"--tls-private-key-file={trust.server.key}",
        f"--client-ca-file={ca}",
        f"--kubelet-certificate-authority={ca}",
        f"--kubelet-client-certificate={trust.kubelet_client.cert}",
        f"--kubelet-client-key={trust.kubelet_client.key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={trust.accounts.cert}",
        f"--service-account-signing-key-file={trust.accounts.key}",
        *_aggregation(trust),
    )


def _aggregation(trust: Trust) -> tuple[str, ...]:
    """What an aggregated API server needs to believe that a request was authenticated by this one."""
    proxy = trust.authority.issue("front-proxy", "front-proxy-client")
    return (
        f"--requestheader-client-ca-file={trust.authority.pair.cert}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy.cert}",
        f"--proxy-client-key-file={proxy.key}",
    )
