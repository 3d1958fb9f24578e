"""A bare API server for tests: etcd and kube-apiserver on loopback, without root, in about three seconds."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import control_plane, ports, tools
from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from devcluster.wait import until

_NO_ENDPOINTS = "--endpoint-reconciler-type=none"
"""Loopback is no valid endpoint of the service `kubernetes`."""


@dataclass
class ControlPlane:
    """A running API server with RBAC, audit log, service account tokens and the default admission plugins.

    There are no controllers: no default service accounts, no garbage collection, no running pods.
    """

    kubeconfig: Path
    """Access as a member of `system:masters`."""
    url: str
    ca: Path
    audit_log: Path
    """JSON lines, one per answered request."""
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for programs that should use it."""
        return {"KUBECONFIG": str(self.kubeconfig)}

    def stop(self) -> None:
        """End both programs at once; the folder stays. May be called again."""
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        self.processes.clear()


def start_control_plane(folder: Path, extra: tuple[str, ...] = (), seconds: float = 60) -> ControlPlane:
    """Start etcd and the API server with their things in `folder`, and wait until it is ready.

    Several may run at once: each takes free ports. Both programs end with the thread that called this.
    `extra` are further flags of the API server. `DOORWARD_API_MINOR` chooses its minor.

    Raises:
        CommandError: When a program is missing.
        LookupError: When no module is there for the minor asked for.
        StartError: When a server ends at once; the message says where its log is.
        TimeoutError: When it is not ready within `seconds`.

    """
    server = tools.api_server()
    tools.build((server, "kubectl"))
    if not shutil.which("etcd"):
        raise CommandError("etcd is missing; on Debian it is the package etcd-server")
    place = _place(folder)
    trust = control_plane.make_trust(place)
    kubeconfig = control_plane.admin(place, trust, folder / "admin.kubeconfig")
    plane = ControlPlane(kubeconfig, place.url, trust.authority.pair.cert, place.audit_log, folder)
    argv = (*control_plane.api_server(place, trust, server), _NO_ENDPOINTS, *extra)
    try:
        _start(plane, "etcd", control_plane.etcd(place))
        _start(plane, "kube-apiserver", argv)
        kubectl = Kubectl(kubeconfig)
        until(lambda: _ready(plane, kubectl), "the API server to be ready", seconds)
    except BaseException:
        plane.stop()
        raise
    return plane


def _place(folder: Path) -> control_plane.Place:
    (folder / "pki").mkdir(parents=True, exist_ok=True)
    api, client, peer = ports.free(3)
    return control_plane.Place(
        address="127.0.0.1",
        api_port=api,
        etcd_port=client,
        etcd_peer_port=peer,
        data=folder / "etcd",
        pki=folder / "pki",
        audit_log=folder / "audit.jsonl",
        service_cidr="10.96.0.0/16",
        kubernetes_ip="10.96.0.1",
    )


def _start(plane: ControlPlane, name: str, argv: tuple[str, ...]) -> None:
    # A killed test run must not leave servers behind.
    bound = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    with (plane.folder / f"{name}.log").open("wb") as log:
        plane.processes.append(
            subprocess.Popen([*bound, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        )


def _ready(plane: ControlPlane, kubectl: Kubectl) -> bool:
    for process in plane.processes:
        if process.poll() is not None:
            raise StartError(f"a server ended at once; its log is in {plane.folder}")
    return kubectl.ready()


class StartError(Exception):
    """A server of the control plane ended by itself: waiting longer would not help."""
