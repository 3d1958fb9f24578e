"""The provider for machines where Docker answers: a kind cluster, its forge on the bridge's gateway."""

import json
from pathlib import Path
from typing import Any

import yaml
from pytest_kind import KindCluster

from devcluster import forge, services, tools, wait
from devcluster.commands import run, succeeds
from devcluster.kubectl import Kubectl
from devcluster.local.manifests import forge as forge_objects
from devcluster.settings import NAME, NETWORK, Layout

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

_PATCH = """\
kind: ClusterConfiguration
apiServer:
  extraArgs: {audit-log-path: /audit/audit.jsonl, audit-policy-file: /audit/policy.yaml}
  extraVolumes: [{name: audit, hostPath: /audit, mountPath: /audit}]
"""


def answers() -> bool:
    """Whether Docker is there and runs."""
    return succeeds("docker", "info")


class Kind:
    """A cluster in a container. kind's own network enforces NetworkPolicies and provisions volumes."""

    name = "kind"
    programs = tools.KIND

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def up(self) -> None:
        """Make the cluster and the forge, after removing those of before."""
        self.down()
        self.layout.make()
        self._cluster().create(self._config())
        wait.until(Kubectl(self.layout.kubeconfig).ready, "the API server of the kind cluster", 180)
        forge.up(self.layout, self._gateway())
        Kubectl(self.layout.kubeconfig).apply(*forge_objects(self._gateway(), NETWORK.gitea_port))

    def _cluster(self) -> KindCluster:
        """The library's handle, on the programs that we pin instead of those that it would download."""
        kind, kubectl = tools.path("kind"), tools.path("kubectl")
        return KindCluster(NAME, self.layout.kubeconfig, kind_path=kind, kubectl_path=kubectl)

    def _config(self) -> Path:
        audit = self.layout.logs / "audit"
        audit.mkdir(exist_ok=True)
        (audit / "policy.yaml").write_text(yaml.safe_dump(_AUDIT))
        mount = {"hostPath": str(audit), "containerPath": "/audit"}
        node = {"role": "control-plane", "extraMounts": [mount], "kubeadmConfigPatches": [_PATCH]}
        path = self.layout.state / "kind.yaml"
        path.write_text(
            yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": [node]})
        )
        return path

    def down(self) -> None:
        """Remove cluster and forge."""
        for name in services.recorded(self.layout):
            services.stop(name, self.layout)
        self._kind("delete", "cluster", "--kubeconfig", str(self.layout.kubeconfig))
        run("rm", "-rf", self.layout.state, self.layout.run)

    def facts(self) -> dict[str, str]:
        """What tests and demos want to know about this provider."""
        return {
            "NODE_IP": self._node_ip(),
            "HOST_IP": self._gateway(),
            "DNS_IP": NETWORK.dns_ip,
            "POD_CIDR": NETWORK.pod_cidr,
            "SERVICE_CIDR": NETWORK.service_cidr,
            "AUDIT_LOG": str(self.layout.logs / "audit" / "audit.jsonl"),
        }

    def load(self, archives: list[Path]) -> None:
        """Import image archives into the node."""
        for path in archives:
            self._kind("load", "image-archive", str(path))

    def checks(self) -> dict[str, bool]:
        """What must be true of a healthy cluster, by a name for people."""
        found = {name: services.alive(name, self.layout) for name in services.recorded(self.layout)}
        ready = self.layout.kubeconfig.exists() and Kubectl(self.layout.kubeconfig).ready()
        return found | {"api ready": ready}

    def _kind(self, *argv: str) -> str:
        return run(tools.path("kind"), *argv, "--name", NAME)

    def _gateway(self) -> str:
        """The host's IPv4 address on kind's bridge: reachable from nodes, pods and the host."""
        networks: list[dict[str, Any]] = json.loads(run("docker", "network", "inspect", "kind"))
        gateways = [part.get("Gateway", "") for part in networks[0]["IPAM"]["Config"]]
        return next(str(gateway) for gateway in gateways if gateway and ":" not in gateway)

    def _node_ip(self) -> str:
        nodes = Kubectl(self.layout.kubeconfig).get("nodes")
        addresses = nodes["items"][0]["status"]["addresses"]
        return next(str(one["address"]) for one in addresses if one["type"] == "InternalIP")
