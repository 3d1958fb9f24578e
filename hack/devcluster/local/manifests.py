"""Objects that every cluster is expected to have: DNS, a default storage class, the forge's name."""

from typing import Any

from devcluster.local.images import COREDNS
from devcluster.settings import NETWORK

Object = dict[str, Any]

STORAGE_CLASS = "local"
PROVISIONER = "doorward.dev/local"

_COREFILE = """\
.:5353 {
    errors
    health :8080
    ready :8181
    cache 5
    kubernetes cluster.local in-addr.arpa {
        pods insecure
        ttl 5
    }
}
"""
"""Only the cluster's own names: what is asked for beyond them is refused, not forwarded."""

_DNS_LABELS = {"k8s-app": "kube-dns"}


def objects() -> list[Object]:
    """All of them, in an order that can be applied."""
    return [*_dns(), _storage_class(), *forge(NETWORK.host_ip, NETWORK.gitea_port)]


def forge(address: str, port: int) -> list[Object]:
    """A service `gitea.forge.svc` for the forge that runs beside the cluster."""
    meta = {"name": "gitea", "namespace": "forge"}
    slice_meta = meta | {"labels": {"kubernetes.io/service-name": "gitea"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "forge"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta,
         "spec": {"clusterIP": "None", "ports": [{"name": "https", "port": port}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice_meta,
         "addressType": "IPv4", "endpoints": [{"addresses": [address]}],
         "ports": [{"name": "https", "port": port}]},
    ]  # fmt: skip


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
    }


def _dns() -> list[Object]:
    meta = {"name": "coredns", "namespace": "kube-system"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": _COREFILE}},
        _dns_role(),
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": "system:coredns"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                     "name": "system:coredns"},
         "subjects": [{"kind": "ServiceAccount", **meta}]},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta | {"labels": _DNS_LABELS},
         "spec": {"replicas": 1, "selector": {"matchLabels": _DNS_LABELS},
                  "template": {"metadata": {"labels": _DNS_LABELS}, "spec": _dns_pod()}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system",
                                                             "labels": _DNS_LABELS},
         "spec": {"selector": _DNS_LABELS, "clusterIP": NETWORK.dns_ip, "ports": [
             {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
             {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"}]}},
    ]  # fmt: skip


def _dns_role() -> Object:
    watch = ["list", "watch"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": watch},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
        ],
    }


def _dns_pod() -> Object:
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
        "containers": [{
            "name": "coredns",
            "image": COREDNS,
            "imagePullPolicy": "Never",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [{"name": "dns", "containerPort": 5353, "protocol": "UDP"},
                      {"name": "dns-tcp", "containerPort": 5353, "protocol": "TCP"}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 65532,
                                "seccompProfile": {"type": "RuntimeDefault"}},
        }],
    }  # fmt: skip
