"""Starting programs that go on running after this one ended, and knowing whether they still do."""

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import cgroups
from devcluster.settings import NAME, Layout


@dataclass(frozen=True)
class Service:
    """One long-running program."""

    name: str
    argv: tuple[str, ...]
    inside: bool = True
    """In the node's network namespace, or in the host's."""
    user: int | None = None
    """Numeric user and group to become; None stays who we are."""
    env: Mapping[str, str] = field(default_factory=dict)


def start(service: Service, layout: Layout) -> None:
    """Start it in a session of its own and record its process id; its output goes to its log."""
    log = (layout.logs / f"{service.name}.log").open("ab")
    with log:
        process = subprocess.Popen(
            _wrapped(service),
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, env=_environment(service),
        )  # fmt: skip
    (layout.pids / service.name).write_text(f"{process.pid} {_started(process.pid)}\n")


def _wrapped(service: Service) -> list[str]:
    """Enter the cgroup, then the namespace, then the user: each step with the rights of the one before."""
    words = list(service.argv)
    if service.user is not None:
        words = [
            "setpriv",
            f"--reuid={service.user}",
            f"--regid={service.user}",
            "--clear-groups",
            "--",
            *words,
        ]
    if service.inside:
        # Not `ip netns exec`: that remounts /sys and kubelet then finds no cgroups.
        words = ["nsenter", f"--net=/run/netns/{NAME}", "--", *words]
    enter = "".join(f"echo $$ >{shlex.quote(str(path))}; " for path in _groups())
    return ["sh", "-c", f'{enter}exec "$@"', service.name, *words]


def _groups() -> list[Path]:
    return cgroups.entry_files() if os.geteuid() == 0 else []


def _environment(service: Service) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": "/nonexistent"} | dict(service.env)


def alive(name: str, layout: Layout) -> bool:
    """Whether the process that was recorded under this name still runs, and not another with its number."""
    pid, started = _record(name, layout)
    return pid is not None and _started(pid) == started


def _record(name: str, layout: Layout) -> tuple[int | None, str]:
    try:
        pid, started = (layout.pids / name).read_text().split()
    except (OSError, ValueError):
        return None, ""
    return int(pid), started


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def stop(name: str, layout: Layout) -> None:
    """End one program at once. Its record goes with it."""
    pid, started = _record(name, layout)
    if pid is not None and _started(pid) == started != "":
        os.killpg(pid, signal.SIGKILL)
    (layout.pids / name).unlink(missing_ok=True)


def recorded(layout: Layout) -> list[str]:
    """Names of all programs that were started, in alphabetical order."""
    return sorted(path.name for path in layout.pids.iterdir()) if layout.pids.exists() else []
