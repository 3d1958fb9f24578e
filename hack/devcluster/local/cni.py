"""The pods' network: which plugins containerd runs for each of them."""

import json
import shlex
import sys
from pathlib import Path

from devcluster.settings import NAME, NETWORK, Layout

_DISTRIBUTION = Path("/usr/lib/cni")
_ANNOUNCER = "doorward-announcer"


def prepare(layout: Layout) -> tuple[Path, Path]:
    """Write configuration and collect plugins; the folders of both."""
    configuration, programs = layout.state / "cni", layout.run / "cni-bin"
    for folder in (configuration, programs):
        folder.mkdir(exist_ok=True)
    for plugin in ("ptp", "host-local", "portmap", "loopback"):
        (programs / plugin).symlink_to(_DISTRIBUTION / plugin)
    announcer = shlex.join([sys.executable, "-IS", str(Path(__file__).with_name("announcer.py"))])
    (programs / _ANNOUNCER).write_text(f"#!/bin/sh\nexec {announcer}\n")
    (programs / _ANNOUNCER).chmod(0o755)
    (configuration / "10-doorward.conflist").write_text(json.dumps(_network(layout), indent=2))
    return configuration, programs


def socket(layout: Layout) -> Path:
    """Where the enforcer listens for announcements."""
    return layout.run / "netpol.sock"


def _network(layout: Layout) -> dict[str, object]:
    # ptp routes between pods, so their traffic passes the forward hook; through a bridge it would not.
    ipam = {
        "type": "host-local",
        "dataDir": str(layout.run / "ipam"),
        "ranges": [[{"subnet": NETWORK.pod_cidr, "gateway": NETWORK.gateway}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": _ANNOUNCER, "socket": str(socket(layout))},
    ]
    return {"cniVersion": "0.4.0", "name": NAME, "plugins": plugins}
