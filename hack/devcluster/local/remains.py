"""Removing every trace of an earlier node, however it ended."""

import contextlib
import os
import shutil
import socket
from pathlib import Path

from devcluster import cgroups
from devcluster.commands import CommandError, run
from devcluster.local import netns
from devcluster.settings import NAME, Layout

_SHIM_SOCKETS = Path("/run/containerd/s")
_CNI_RESULTS = Path("/var/lib/cni/results")
_LOG_LINKS = Path("/var/log/containers")
_DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")


def remove(layout: Layout) -> None:
    """Leave no process, mount, rule, namespace, cgroup or file of the cluster.

    Raises:
        CommandError: When a mount cannot be undone; files are then left alone, as they may not be ours.
        TimeoutError: When a process survives SIGKILL.

    """
    cgroups.kill_all()
    for _ in range(3):  # mounts over mounts
        _unmount(layout)
    if left := mounts(layout):
        raise CommandError(f"still mounted: {', '.join(map(str, left))}")
    netns.remove()
    cgroups.remove()
    for folder in (layout.run, layout.state):
        shutil.rmtree(folder, ignore_errors=True)
    _remove_strays()


def mounts(layout: Layout) -> list[Path]:
    """Mount points below the cluster's folders, innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]
    ours = (layout.run, layout.state)
    return [point for point in reversed(points) if any(point.is_relative_to(folder) for folder in ours)]


def _unmount(layout: Layout) -> None:
    for point in mounts(layout):
        run("umount", point, check=False)
        if point in mounts(layout):
            run("umount", "--lazy", point, check=False)


def _remove_strays() -> None:
    """Files that programs keep outside of the folders they are told to use."""
    for path in _glob(_CNI_RESULTS, f"{NAME}-*"):
        container = path.name.removeprefix(f"{NAME}-").split("-")[0]
        for result in _glob(_CNI_RESULTS, f"*-{container}-*"):  # the loopback's has another prefix
            result.unlink(missing_ok=True)
    for path in _glob(_LOG_LINKS, "*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
    for path in [*_glob(_SHIM_SOCKETS, "*"), *_glob(_DEVICE_PLUGINS, "kubelet.sock")]:
        if not _answers(path):
            path.unlink(missing_ok=True)
    for folder in (_DEVICE_PLUGINS, _DEVICE_PLUGINS.parent):
        with contextlib.suppress(OSError):  # in use by somebody else, or not there
            folder.rmdir()


def _glob(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern)) if folder.is_dir() else []


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0
