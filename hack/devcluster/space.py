"""A namespace for one experiment, and pods that run the probe in it."""

from typing import Any

from devcluster.commands import CommandError
from devcluster.kubectl import Kubectl
from devcluster.wait import until

PROBE = "localhost/doorward-dev/probe:1"
"""Image of the probe; its user loads it before pods refer to it."""


class Space:
    """A namespace and shorthands for what tests do in it."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl, self.name = kubectl, name

    def make(self, kind: str, name: str, spec: dict[str, Any], **labels: str) -> None:
        """Make one object of a kind that Kubernetes knows by heart."""
        group = {"NetworkPolicy": "networking.k8s.io/v1"}.get(kind, "v1")
        meta = {"name": name, "namespace": self.name, "labels": labels}
        self.kubectl.apply({"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec})

    def pod(
        self,
        name: str,
        *argv: str,
        volumes: dict[str, str] | None = None,
        patience: str = "1500ms",
        **labels: str,
    ) -> None:
        """Make a pod that runs the probe; `volumes` are claims by mount path, `patience` its time limit."""
        claims = dict(enumerate((volumes or {}).items()))
        container = {
            "name": "probe", "image": PROBE, "imagePullPolicy": "Never", "args": list(argv),
            "env": [{"name": "PROBE_PATIENCE", "value": patience}],
            "volumeMounts": [{"name": f"v{n}", "mountPath": path} for n, (path, _) in claims.items()],
        }  # fmt: skip
        self.make("Pod", name, {
            "automountServiceAccountToken": False, "enableServiceLinks": False, "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0, "containers": [container],
            "volumes": [{"name": f"v{n}", "persistentVolumeClaim": {"claimName": claim}}
                        for n, (_, claim) in claims.items()],
        }, **labels)  # fmt: skip

    def running(self, name: str) -> str:
        """Wait until a pod is ready; its address."""

        def address() -> str | None:
            status = self.kubectl.get("-n", self.name, "pod", name)["status"]
            ready = any(
                (item["type"], item["status"]) == ("Ready", "True") for item in status.get("conditions", ())
            )
            return str(status["podIP"]) if ready else None

        return until(address, f"{name} to be ready")

    def phase(self, name: str) -> str:
        """A pod's phase."""
        return str(self.kubectl.get("-n", self.name, "pod", name)["status"].get("phase"))

    def ended(self, name: str) -> str:
        """Wait until a pod has ended; its phase."""
        return until(lambda: self._end(name), f"{name} to end")

    def _end(self, name: str) -> str | None:
        phase = self.phase(name)
        return phase if phase in {"Succeeded", "Failed"} else None

    def reaches(self, pod: str, address: str, network: str = "tcp") -> bool:
        """Whether a running pod gets through to an address."""
        try:
            self.kubectl("-n", self.name, "exec", pod, "--", "/probe", "connect", network, address)
        except CommandError:
            return False
        return True
