"""What somebody with root on the local node can see and do: tests play the thief with it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from devcluster import commands
from devcluster.settings import layout
from testbed.site import Site

_JWS = re.compile(rb"eyJ[A-Za-z0-9_-]{10,600}\.eyJ[A-Za-z0-9_-]{10,6000}\.[A-Za-z0-9_-]{86}")


def process_of(site: Site, pod: dict[str, Any], container: str) -> int:
    """The host's process id of a running container."""
    status = pod["status"]
    statuses = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
    full = next(s["containerID"] for s in statuses if s["name"] == container)
    wanted = full.removeprefix("containerd://")
    listing = commands.run("ctr", "--address", site.facts["CONTAINERD"], "-n", "k8s.io", "task", "list")
    for line in listing.splitlines():
        columns = line.split()
        if columns[0] == wanted:
            return int(columns[1])
    raise RuntimeError(f"container {container} of {pod['metadata']['name']} does not run")


def kill(site: Site, pod: dict[str, Any], container: str) -> None:
    """SIGKILL to a container's first process, as the kernel would when memory is short."""
    commands.run("kill", "-KILL", str(process_of(site, pod, container)))


def tokens_in_memory(pid: int, typ: str) -> set[str]:
    """Signed tokens of one `typ` that lie anywhere in a process's memory."""
    found: set[str] = set()
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            if not mode.startswith("rw") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            found |= _tokens(_read(memory, start, end - start), typ)
    return found


def workspace(pod: dict[str, Any]) -> Path:
    """The agent's /workspace as the node sees it."""
    uid = str(pod["metadata"]["uid"])
    return layout().state / "kubelet/pods" / uid / "volumes/kubernetes.io~empty-dir/workspace"


def claimed(site: Site, claim: str, namespace: str) -> Path:
    """Where the node keeps what is behind a claim."""
    name = site.kubectl.get("persistentvolumeclaim", claim, "-n", namespace)["spec"]["volumeName"]
    return Path(site.kubectl.get("persistentvolume", name)["spec"]["hostPath"]["path"])


def _read(memory: Any, start: int, size: int) -> bytes:
    try:
        memory.seek(start)
        return bytes(memory.read(size))
    except OSError:
        return b""


def _tokens(data: bytes, typ: str) -> set[str]:
    return {match.decode() for match in _JWS.findall(data) if _typ(match) == typ}


def _typ(token: bytes) -> str:
    head = token.split(b".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except ValueError:
        return ""
    return str(header.get("typ", ""))
