"""What is outside the fence: an ordinary pod that may reach everything, and things to reach."""

from __future__ import annotations

import json
import time
from typing import Any

from devcluster import wait
from testbed import install
from testbed.site import Site

NAMESPACE = "outside"
_LISTEN = (
    "import http.server as s; s.ThreadingHTTPServer(('', 8080), s.SimpleHTTPRequestHandler).serve_forever()"
)
_PROBE = """
import json, socket, sys
found = {}
for target in json.loads(sys.argv[1]):
    try:
        if target["protocol"] == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(3)
                s.sendto(bytes.fromhex(target["payload"]), (target["host"], target["port"]))
                s.recvfrom(512)
        else:
            socket.create_connection((target["host"], target["port"]), 3).close()
        found[target["name"]] = True
    except OSError:
        found[target["name"]] = False
print(json.dumps(found))
"""
DNS_QUERY = (
    "abcd01000001000000000000076b756265726e657465730764656661756c7403737663076b756265726e657465730000010001"
)


def neighbour(site: Site) -> str:
    """Address of an ordinary pod that listens on 8080."""
    _namespace(site)
    site.kubectl.apply(_pod(site, "neighbour", ["python3", "-c", _LISTEN]))

    def address() -> str | None:
        status = site.kubectl.get("pod", "neighbour", "-n", NAMESPACE)["status"]
        return str(status["podIP"]) if status.get("phase") == "Running" and status.get("podIP") else None

    return wait.until(address, "the neighbour runs", 240)


def targets(site: Site, neighbour_ip: str) -> list[dict[str, Any]]:
    """Everything an agent might try directly: name, host, port, protocol."""
    forge = site.facts["GITEA_URL"].removeprefix("https://").split(":")
    api = str(site.kubectl.get("service", "kubernetes")["spec"]["clusterIP"])
    return [
        _target("forge", forge[0], int(forge[1])),
        _target("api-server", api, 443),
        _target("node", site.facts["NODE_IP"], 10250),
        _target("metadata", site.facts["METADATA_IP"], 80),
        _target("dns", site.facts["DNS_IP"], 53, "udp"),
        _target("dns-tcp", site.facts["DNS_IP"], 53),
        _target("neighbour", neighbour_ip, 8080),
    ]


def probe(site: Site, found: list[dict[str, Any]]) -> dict[str, bool]:
    """Which targets an ordinary pod can reach."""
    _namespace(site)
    name = f"probe-{time.time_ns() % 1_000_000}"
    site.kubectl.apply(_pod(site, name, ["python3", "-c", _PROBE, json.dumps(found)]))

    def over() -> bool:
        phase = site.kubectl.get("pod", name, "-n", NAMESPACE)["status"].get("phase")
        return phase in {"Succeeded", "Failed"}

    wait.until(over, "the probes are done", 240)
    answers: dict[str, bool] = json.loads(site.kubectl("logs", name, "-n", NAMESPACE))
    site.kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")
    return answers


def pod_with_secret(namespace: str) -> dict[str, Any]:
    """A pod as careless people write it: strict in all that Pod Security asks for, with a Secret in it."""
    container = {
        "name": "main",
        "image": "example.invalid/tool:1",
        "volumeMounts": [{"name": "key", "mountPath": "/key"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "containers": [container],
        "volumes": [{"name": "key", "secret": {"secretName": "deploy-key"}}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    meta = {"name": "careless", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _target(name: str, host: str, port: int, protocol: str = "tcp") -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "host": host, "port": port, "protocol": protocol}
    return found | ({"payload": DNS_QUERY} if protocol == "udp" else {})


def _namespace(site: Site) -> None:
    site.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    def account() -> bool:
        return bool(site.kubectl.get("serviceaccounts", "-n", NAMESPACE)["items"])

    wait.until(account, "the namespace has its default account", 120)


def _pod(site: Site, name: str, command: list[str]) -> dict[str, Any]:
    container = {"name": "main", "image": install.agent_image(site), "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"containers": [container], "restartPolicy": "Never", "automountServiceAccountToken": False},
    }
