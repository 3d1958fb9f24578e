"""A way from a test to a port of a pod, through the API server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from devcluster import tools, wait
from testbed.site import Site

_PORT = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+)", re.MULTILINE)


@contextmanager
def to(site: Site, pod: str, namespace: str, port: int) -> Iterator[int]:
    """The local port that leads to the pod's. Raises `TimeoutError` when there is no way."""
    words = ("port-forward", f"pod/{pod}", f":{port}", "-n", namespace, "--address=127.0.0.1")
    with TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        with (
            said.open("w") as output,
            subprocess.Popen(
                [tools.path("kubectl"), *words], env=site.environ(), stdout=output, stderr=output
            ) as process,
        ):
            try:
                found = wait.until(lambda: _PORT.search(said.read_text()), f"a tunnel to {pod}")
                yield int(found[1])
            finally:
                process.terminate()
