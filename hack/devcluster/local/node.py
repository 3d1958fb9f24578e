"""Configuration and command lines of the node's programs: containerd, kubelet and the controllers."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from devcluster import control_plane, kubeconfig, tools
from devcluster.local import cni
from devcluster.local.images import PAUSE
from devcluster.services import Service
from devcluster.settings import NAME, NETWORK, Layout


@dataclass(frozen=True)
class Node:
    """The node's place, its trust, and what follows from both."""

    layout: Layout
    place: control_plane.Place
    trust: control_plane.Trust

    @property
    def ca(self) -> Path:
        """The cluster's authority."""
        return self.trust.authority.pair.cert

    def access(self, name: str, user: str, *groups: str) -> Path:
        """A kubeconfig for one component."""
        client = self.trust.authority.issue(name, user, groups=groups)
        return kubeconfig.write(self.layout.pki / f"{name}.kubeconfig", self.place.url, self.ca, client)


def place(layout: Layout) -> control_plane.Place:
    """The control plane's place inside the node's namespace."""
    return control_plane.Place(
        address=NETWORK.node_ip,
        api_port=NETWORK.api_port,
        etcd_port=2379,
        etcd_peer_port=2380,
        data=layout.state / "etcd",
        pki=layout.pki,
        audit_log=layout.audit_log,
        service_cidr=NETWORK.service_cidr,
        kubernetes_ip=NETWORK.kubernetes_ip,
    )


def containerd(layout: Layout) -> Service:
    """Write containerd's and CNI's configuration; return the service."""
    folder = layout.state / "containerd"
    folder.mkdir(exist_ok=True)
    networks, plugins = cni.prepare(layout)
    config = folder / "config.toml"
    config.write_text(
        _CONTAINERD.format(root=folder, run=layout.run, networks=networks, plugins=plugins, pause=PAUSE)
    )
    return Service("containerd", ("containerd", "--config", str(config)))


_CONTAINERD = """\
version = 2
root = "{root}/root"
state = "{run}/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
]
[grpc]
address = "{run}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE every sandbox would fail
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{run}/runc"
"""


def kubelet(node: Node) -> Service:
    """Write kubelet's configuration; return the service."""
    layout = node.layout
    config = layout.state / "kubelet.yaml"
    config.write_text(yaml.safe_dump(_kubelet_config(node), sort_keys=False))
    (layout.state / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    access = node.access("kubelet", f"system:node:{NAME}", "system:nodes")
    return Service(
        "kubelet",
        (
            str(tools.path("kubelet")),
            f"--config={config}",
            f"--kubeconfig={access}",
            f"--hostname-override={NAME}",
            f"--node-ip={NETWORK.node_ip}",
            f"--root-dir={layout.state / 'kubelet'}",
            f"--cert-dir={layout.state / 'kubelet-pki'}",
        ),
    )


def _kubelet_config(node: Node) -> dict[str, object]:
    layout = node.layout
    serving = node.trust.authority.issue("kubelet-serving", NAME, names=(NAME, NETWORK.node_ip))
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{layout.run}/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(node.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.cert),
        "tlsPrivateKeyFile": str(serving.key),
        "clusterDomain": "cluster.local",
        "clusterDNS": [NETWORK.dns_ip],
        "resolvConf": str(layout.state / "resolv.conf"),
        "podLogsDir": str(layout.logs / "pods"),
        "volumePluginDir": str(layout.state / "volume-plugins"),
        **_KUBELET,
    }


_KUBELET: dict[str, object] = {
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{NAME}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "enforceNodeAllocatable": ["pods"],
    "oomScoreAdj": 0,  # lower needs CAP_SYS_RESOURCE
    "maxPods": 200,
    "imageGCHighThresholdPercent": 100,  # never: images come from archives and could not be pulled again
    "imageMinimumGCAge": "240h",
    "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%"},
    "registryPullQPS": 0,
    "eventRecordQPS": 0,
    "kubeAPIQPS": 100,
    "kubeAPIBurst": 200,
    "serializeImagePulls": False,
    "volumeStatsAggPeriod": "-1s",  # off: it walks every volume
}


def controllers(node: Node) -> list[Service]:
    """The controller manager, the scheduler and kube-proxy."""
    manager = node.access("controller-manager", "system:kube-controller-manager")
    scheduler = node.access("scheduler", "system:kube-scheduler")
    authority = node.trust.authority.pair
    # Delegated checks of the metrics ports; the ports themselves stay on the node.
    delegated = ["--bind-address=127.0.0.1", "--leader-elect=false"]
    return [
        Service("kube-controller-manager", (
            str(tools.path("kube-controller-manager")),
            f"--kubeconfig={manager}",
            f"--root-ca-file={node.ca}",
            f"--service-account-private-key-file={node.trust.accounts.key}",
            "--use-service-account-credentials=true",
            f"--cluster-signing-cert-file={authority.cert}",
            f"--cluster-signing-key-file={authority.key}",
            *delegated,
        )),
        Service("kube-scheduler", (
            str(tools.path("kube-scheduler")),
            f"--kubeconfig={scheduler}",
            *delegated,
        )),
        _proxy(node),
    ]  # fmt: skip


def _proxy(node: Node) -> Service:
    access = node.access("kube-proxy", "system:kube-proxy")
    return Service("kube-proxy", (
        str(tools.path("kube-proxy")),
        f"--kubeconfig={access}",
        f"--hostname-override={NAME}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={NETWORK.pod_cidr}",
        "--conntrack-max-per-core=0",  # that sysctl is not writable here
        "--conntrack-min=0",
        "--oom-score-adj=0",
        "--metrics-bind-address=127.0.0.1:10249",
        "--healthz-bind-address=127.0.0.1:10256",
    ))  # fmt: skip
