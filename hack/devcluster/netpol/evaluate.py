"""Says what a plan means for one connection: the yardstick that the rules in the kernel are held to."""

import ipaddress

from devcluster.netpol.model import State
from devcluster.netpol.plan import Allowance, Block, Plan, Ports


def permits(plan: Plan, state: State, source: str, target: str, *, protocol: str, port: int) -> bool:
    """Whether a connection from one address to a port of another is allowed: both ends must agree."""
    if source in state.node_ips or source == target:
        return True
    if state.closed and any(_unknown(state, address) for address in (source, target)):
        return False
    return _end_agrees(plan.egress.get(source), target, protocol, port) and _end_agrees(
        plan.ingress.get(target), source, protocol, port
    )


def _unknown(state: State, address: str) -> bool:
    known = {pod.ip for pod in state.pods} | set(state.node_ips)
    return address not in known and ipaddress.ip_address(address) in ipaddress.ip_network(state.pod_cidr)


def _end_agrees(allowed: frozenset[Allowance] | None, peer: str, protocol: str, port: int) -> bool:
    if allowed is None:  # no policy isolates this end
        return True
    return any(_covers(allowance, peer, protocol, port) for allowance in allowed)


def _covers(allowance: Allowance, peer: str, protocol: str, port: int) -> bool:
    near = (
        allowance.peers is None
        or peer in allowance.peers
        or any(_inside(block, peer) for block in allowance.blocks)
    )
    return near and (allowance.ports is None or any(_fits(p, protocol, port) for p in allowance.ports))


def _inside(block: Block, peer: str) -> bool:
    address = ipaddress.ip_address(peer)
    return address in ipaddress.ip_network(block.cidr) and not any(
        address in ipaddress.ip_network(part) for part in block.excepted
    )


def _fits(ports: Ports, protocol: str, port: int) -> bool:
    if ports.protocol != protocol:
        return False
    return ports.first is None or ports.first <= port <= (ports.last or ports.first)
