"""The node's network namespace and its link to the host, whose own rules are never touched."""

from devcluster.commands import run
from devcluster.settings import NAME, NETWORK, Network

_HOST_LINK = "doorward-host"
_NODE_LINK = "doorward-node"

_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "1",  # a pod cannot send from another pod's address
    "net.ipv4.conf.default.rp_filter": "1",
    "net.ipv4.neigh.default.gc_thresh3": "8192",
}


def create(network: Network = NETWORK) -> None:
    """Make the namespace, its link to the host, its addresses, routes and translation of outgoing traffic."""
    run("ip", "netns", "add", NAME)
    run("ip", "link", "add", _HOST_LINK, "type", "veth", "peer", "name", _NODE_LINK, "netns", NAME)
    run("ip", "addr", "add", f"{network.host_ip}/{network.prefix}", "dev", _HOST_LINK)
    run("ip", "link", "set", _HOST_LINK, "up")
    run("ip", "-n", NAME, "-batch", "-", stdin=_batch(network))
    for name, value in _SYSCTLS.items():
        inside("sysctl", "-qw", f"{name}={value}", check=name.endswith("ip_forward"))
    inside("nft", "-f", "-", stdin=_translation(network))


def _batch(network: Network) -> str:
    return "\n".join((
        "link set lo up",
        f"addr add {network.node_ip}/{network.prefix} dev {_NODE_LINK}",
        f"link set {_NODE_LINK} up",
        f"route add default via {network.host_ip}",
        f"addr add {network.metadata_ip}/32 dev lo",
    ))  # fmt: skip


def _translation(network: Network) -> str:
    # Instead of ptp's ipMasq: one rule for all pods, and nothing to undo per pod.
    return f"""table ip doorward-base {{
  chain outgoing {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {network.pod_cidr} oifname "{_NODE_LINK}" masquerade
  }}
}}
"""


def inside(*argv: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a program in the namespace to its end and return its standard output."""
    return run("nsenter", f"--net=/run/netns/{NAME}", "--", *argv, stdin=stdin, check=check)


def remove() -> None:
    """Remove the link and the namespace, as far as they exist. Routes, rules and addresses go with them."""
    run("ip", "link", "del", _HOST_LINK, check=False)
    run("ip", "netns", "del", NAME, check=False)
