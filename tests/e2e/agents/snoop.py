"""An agent that tries to read the sidecar's token by every means a process in its container has."""

import ctypes
import glob
import json
import os

PLACES = [
    "/var/run/doorward/token/token",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/run/secrets/kubernetes.io/serviceaccount/token",
]


def path():
    return [open(place).read() for place in PLACES + glob.glob("/var/run/**/token", recursive=True)]


def proc():
    others = [p for p in glob.glob("/proc/[0-9]*") if p != f"/proc/{os.getpid()}"]
    found = []
    for other in others:
        for part in ("root/var/run/doorward/token/token", "environ", "mem", "cwd", "fd/0"):
            try:
                data = open(f"{other}/{part}", "rb").read(100)
            except OSError:
                continue
            if data and part != "environ":
                found.append(f"{other}/{part}")
    return found


def ptrace():
    libc = ctypes.CDLL(None, use_errno=True)
    return [pid for pid in range(2, 400) if libc.ptrace(16, pid, 0, 0) == 0]


def shared_memory():
    segments = os.listdir("/dev/shm")
    libc = ctypes.CDLL(None, use_errno=True)
    attached = [n for n in range(64) if libc.shmat(n, 0, 0) not in (-1, 0xFFFFFFFF)]
    return segments + attached


def shared_volume():
    found = []
    for top in ("/workspace", "/tmp"):
        for folder, _, files in os.walk(top):
            found += [os.path.join(folder, name) for name in files]
    return [name for name in found if b"eyJ" in open(name, "rb").read()]


def environment():
    return [name for name, value in os.environ.items() if value.count(".") == 2 and value.startswith("eyJ")]


def abstract_sockets():
    lines = open("/proc/net/unix").read().splitlines()[1:]
    return [line.split()[-1] for line in lines if "@" in line]


def remount():
    libc = ctypes.CDLL(None, use_errno=True)
    return (
        []
        if libc.unshare(0x10000000 | 0x00020000) or libc.mount(b"x", b"/tmp", b"proc", 0, 0)
        else ["mounted"]
    )


answers = {}
for attempt in (path, proc, ptrace, shared_memory, shared_volume, environment, abstract_sockets, remount):
    try:
        answers[attempt.__name__] = attempt()
    except OSError as error:
        answers[attempt.__name__] = []
        answers[attempt.__name__ + "_said"] = str(error)
print(json.dumps(answers))
