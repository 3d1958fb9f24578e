"""Brings the local node up and down."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devcluster import cgroups, control_plane, forge, services, tools
from devcluster.commands import CommandError, say, succeeds
from devcluster.kubectl import Kubectl
from devcluster.local import cni, images, manifests, netns, node, remains
from devcluster.services import Service
from devcluster.settings import HACK, NAME, NETWORK, Layout
from devcluster.wait import until


class Local:
    """A node in a network namespace: Linux, root, no Docker."""

    name = "local"
    programs = tools.LOCAL

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def up(self) -> None:
        """Remove what an earlier node left, then start everything and wait until pods can run.

        Raises:
            CommandError: When a program that the node needs cannot run.
            TimeoutError: Naming what did not come up; its log is in the layout's `logs`.

        """
        remains.remove(self.layout)
        self.layout.make()
        cgroups.make()
        netns.create()
        with ThreadPoolExecutor(max_workers=2) as pool:
            seeded = pool.submit(forge.up, self.layout, NETWORK.host_ip)
            self._start_node()
            seeded.result()

    def _start_node(self) -> None:
        place = node.place(self.layout)
        trust = control_plane.make_trust(place)
        control_plane.admin(place, trust, self.layout.kubeconfig)
        made = node.Node(self.layout, place, trust)
        self._start(Service("etcd", control_plane.etcd(place)))
        self._start(Service("kube-apiserver", control_plane.api_server(place, trust)))
        self._start(node.containerd(self.layout))
        self._start(_python("metadata", "devcluster.local.metadata"))
        self._load_own_images()
        kubectl = Kubectl(self.layout.kubeconfig)
        self._until(kubectl.ready, "the API server to be ready", 60)
        self._start_followers()
        self._until(self._loaded.exists, "the first network rules")
        for service in [node.kubelet(made), *node.controllers(made)]:
            self._start(service)
        kubectl.apply(*manifests.objects())
        self._until(lambda: _node_ready(kubectl), "the node to be ready", 60)
        self._until(lambda: _dns_ready(kubectl), "the cluster's DNS", 60)

    @property
    def _loaded(self) -> Path:
        return self.layout.run / "netpol.loaded"

    def _start_followers(self) -> None:
        access, volumes = str(self.layout.kubeconfig), str(self.layout.state / "volumes")
        chosen = {name: value for name, value in os.environ.items() if name.startswith("DOORWARD_NETPOL_")}
        self._start(
            _python(
                "netpol",
                "devcluster.netpol.daemon",
                access,
                str(self._loaded),
                str(cni.socket(self.layout)),
                env=chosen,
            )
        )
        self._start(_python("volumes", "devcluster.local.volumes", access, volumes, inside=False))

    def _load_own_images(self) -> None:
        made = []
        for program, reference in (("pause", images.PAUSE), ("coredns", images.COREDNS)):
            made.append(images.archive(tools.path(program), reference, self.layout.state / f"{program}.tar"))
        socket = str(self.layout.run / "containerd.sock")
        self._until(lambda: succeeds("ctr", "--address", socket, "version"), "containerd to answer")
        images.load(self.layout, made)

    def _start(self, service: Service) -> None:
        services.start(service, self.layout)

    def _until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        """Wait, but not for something that a dead program would have done."""

        def met() -> bool:
            dead = [name for name in services.recorded(self.layout) if not services.alive(name, self.layout)]
            if dead:
                raise DeadProgramError(f"{dead[0]} ended; see {self.layout.logs / dead[0]}.log")
            return condition()

        began = time.monotonic()
        until(met, what, seconds)
        say(f"{what}: {time.monotonic() - began:.1f} s")

    def down(self) -> None:
        """Remove the node with all its traces."""
        remains.remove(self.layout)

    def facts(self) -> dict[str, str]:
        """What tests and demos want to know about this provider."""
        return {
            "NODE_IP": NETWORK.node_ip,
            "HOST_IP": NETWORK.host_ip,
            "DNS_IP": NETWORK.dns_ip,
            "METADATA_IP": NETWORK.metadata_ip,
            "POD_CIDR": NETWORK.pod_cidr,
            "SERVICE_CIDR": NETWORK.service_cidr,
            "NETNS": NAME,
            "AUDIT_LOG": str(self.layout.audit_log),
            "CONTAINERD": str(self.layout.run / "containerd.sock"),
        }

    def load(self, archives: list[Path]) -> None:
        """Import image archives into the node."""
        images.load(self.layout, archives)

    def checks(self) -> dict[str, bool]:
        """What must be true of a healthy node, by a name for people."""
        kubectl = Kubectl(self.layout.kubeconfig)
        found = {name: services.alive(name, self.layout) for name in services.recorded(self.layout)}
        found["api ready"] = bool(found) and kubectl.ready()
        found["node ready"] = found["api ready"] and _node_ready(kubectl)
        found["dns ready"] = found["api ready"] and _dns_ready(kubectl)
        return found


class DeadProgramError(Exception):
    """A program of the node ended by itself: waiting longer would not help."""


def _python(
    name: str, module: str, *argv: str, inside: bool = True, env: dict[str, str] | None = None
) -> Service:
    path = {"PYTHONPATH": str(HACK), "PYTHONDONTWRITEBYTECODE": "1"}
    return Service(name, (sys.executable, "-m", module, *argv), inside=inside, env=path | (env or {}))


def _node_ready(kubectl: Kubectl) -> bool:
    template = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    try:
        return kubectl("get", "node", NAME, "-o", template) == "True"
    except CommandError:
        return False


def _dns_ready(kubectl: Kubectl) -> bool:
    try:
        return kubectl("-n", "kube-system", "get", "deployment", "coredns", "-o",
                       "jsonpath={.status.readyReplicas}") == "1"  # fmt: skip
    except CommandError:
        return False
