"""The cluster's control group: every process of it is inside, so none can be forgotten."""

import functools
import os
import signal
from pathlib import Path

from devcluster.settings import NAME
from devcluster.wait import until

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """The mounted hierarchies: one for version 2, one per controller for version 1 and the hybrid."""
    if (ROOT / "cgroup.procs").exists():
        return [ROOT]
    return [child for child in sorted(ROOT.iterdir()) if (child / "cgroup.procs").exists()]


def make() -> None:
    """Make the group in every hierarchy; kubelet insists on finding its root in all of them."""
    for hierarchy in hierarchies():
        group = hierarchy / NAME / "system"
        group.mkdir(parents=True, exist_ok=True)
        for level in (group.parent, group):
            _inherit_cpuset(level)


def _inherit_cpuset(group: Path) -> None:
    # Version 1: a group without processors and memory nodes accepts no process.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).exists() and not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())


def entry_files() -> list[Path]:
    """The files a process writes its id into to become part of the cluster."""
    return [
        hierarchy / NAME / "system" / "cgroup.procs"
        for hierarchy in hierarchies()
        if hierarchy.name != "unified"
    ]


def members() -> list[int]:
    """Ids of all living processes in the group or below it, programs and containers alike."""
    return [
        int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and _is_member(folder)
    ]


def _is_member(folder: Path) -> bool:
    try:
        groups = (folder / "cgroup").read_text()
        state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:  # it ended while we looked
        return False
    return state not in "ZX" and (f":/{NAME}/" in groups or f"/{NAME}/system" in groups)


def kill_all() -> None:
    """End every member at once, and wait until they are gone.

    Raises:
        TimeoutError: When some survive ten seconds of SIGKILL (stuck in the kernel).

    """
    until(_killed_all, "processes of the cluster to end", seconds=10, every=0.05)


def _killed_all() -> bool:
    left = [pid for pid in members() if pid != os.getpid()]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return not left


def remove() -> None:
    """Remove the group and everything below it in every hierarchy. It must hold no process."""
    for hierarchy in hierarchies():
        top = hierarchy / NAME
        if top.exists():
            until(functools.partial(_removed, top), f"cgroup {top} to be removable", seconds=10)


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        Path(folder).rmdir()
    return True
