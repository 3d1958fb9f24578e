"""Plain calls to the API server through kubectl: for what is done once, not for loops."""

import json
import os
from pathlib import Path
from typing import Any

from devcluster import tools
from devcluster.commands import CommandError, run


class Kubectl:
    """kubectl bound to one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self._argv = (str(tools.path("kubectl")), "--kubeconfig", str(kubeconfig), "--request-timeout=60s")
        self._env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}

    def __call__(self, *argv: str, stdin: str | None = None) -> str:
        """Run one kubectl command and return what it printed.

        Raises:
            CommandError: When it fails; the message carries the server's answer.

        """
        return run(*self._argv, *argv, stdin=stdin, env=self._env)

    def get(self, *argv: str) -> Any:
        """The JSON document of `kubectl get ARGV -o json`."""
        return json.loads(self("get", *argv, "-o", "json"))

    def apply(self, *documents: dict[str, Any]) -> None:
        """Apply objects, all in one call."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed))

    def ready(self) -> bool:
        """Whether the API server answers and says that it is ready."""
        try:
            return self("get", "--raw=/readyz").strip() == "ok"
        except CommandError:
            return False
