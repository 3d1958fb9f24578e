"""A plan written down for nft: one table, replaced as a whole."""

import hashlib
from collections.abc import Iterable, Mapping

from devcluster.netpol.model import State
from devcluster.netpol.plan import Allowance, Block, Plan, Ports

TABLE = "doorward-netpol"

# Addresses of the tracked connection, not of the packet: who began it, and who it ends at after any service
# address was translated. They are the same for packets of both directions, so answers need no rule of their
# own, and a connection that was allowed once is judged again at its every packet.
_FROM = "ct original ip saddr"
_TO = "ct reply ip saddr"
_PORT = "ct reply proto-src"

Groups = Mapping[str, frozenset[Allowance]]


def render(plan: Plan, state: State) -> str:
    """The text for `nft -f -`, which replaces the whole table in one step. Equal states, equal texts."""
    ingress, egress = _chains("in", _FROM, plan.ingress), _chains("out", _TO, plan.egress)
    chains = "\n".join(sorted({*ingress.values(), *egress.values()}))
    return f"""table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
{_set("known", [pod.ip for pod in state.pods])}
{chains}
  chain judge {{
{_lines(_judge(plan, state))}
  }}
  chain forward {{
    type filter hook forward priority filter + 10; policy accept;
    meta nfproto ipv6 drop
    jump judge
  }}
  chain input {{
    type filter hook input priority filter + 10; policy accept;
    iifname "veth*" meta nfproto ipv6 drop
    jump judge
  }}
}}
"""


def _judge(plan: Plan, state: State) -> list[str]:
    """The common path: what is nobody's, the node's own, a pod's with itself; then both ends must agree."""
    same = [f"{pod.ip} . {pod.ip}" for pod in state.pods]
    lines = [
        f"ct state invalid,untracked ip saddr {state.pod_cidr} drop",
        f"ct state invalid,untracked ip daddr {state.pod_cidr} drop",
        f"{_FROM} {{ {', '.join(state.node_ips)} }} accept",
    ]
    if same:
        lines.append(f"{_FROM} . {_TO} {{ {', '.join(same)} }} accept")
    if state.closed:
        lines += [f"{end} {state.pod_cidr} {end} != @known drop" for end in (_FROM, _TO)]
    return lines + _dispatch(_FROM, "out", plan.egress) + _dispatch(_TO, "in", plan.ingress)


def _dispatch(end: str, direction: str, groups: Groups) -> list[str]:
    jumps = [f"{ip} : jump {_name(direction, allowed)}" for ip, allowed in sorted(groups.items())]
    return [f"{end} vmap {{ {', '.join(jumps)} }}"] if jumps else []


def _chains(direction: str, end: str, groups: Groups) -> dict[str, str]:
    """One chain for all pods that are allowed the same; by name."""
    return {_name(direction, allowed): _chain(direction, end, allowed) for allowed in set(groups.values())}


def _name(direction: str, allowed: frozenset[Allowance]) -> str:
    rules = sorted(rule for allowance in allowed for rule in _rules("", allowance))
    return f"{direction}-{hashlib.sha256(repr(rules).encode()).hexdigest()[:12]}"


def _chain(direction: str, end: str, allowed: frozenset[Allowance]) -> str:
    rules = sorted({rule for allowance in allowed for rule in _rules(end, allowance)})
    return f"  chain {_name(direction, allowed)} {{\n{_lines([*rules, 'drop'])}\n  }}"


def _rules(end: str, allowance: Allowance) -> list[str]:
    """Every peer expression with every port expression: `return` goes on to the other end's chain."""
    return [
        " ".join(part for part in (peer, port, "return") if part)
        for peer in _peer_matches(end, allowance)
        for port in _port_matches(allowance.ports)
    ]


def _peer_matches(end: str, allowance: Allowance) -> list[str]:
    if allowance.peers is None:
        return [""]
    pods = [f"{end} {{ {', '.join(sorted(allowance.peers))} }}"] if allowance.peers else []
    return pods + [_block(end, block) for block in allowance.blocks]


def _block(end: str, block: Block) -> str:
    excepted = f" {end} != {{ {', '.join(block.excepted)} }}" if block.excepted else ""
    return f"{end} {block.cidr}{excepted}"


def _port_matches(ports: tuple[Ports, ...] | None) -> list[str]:
    if ports is None:
        return [""]
    matches = [f"meta l4proto {port.protocol.lower()}" for port in ports if port.first is None]
    for protocol in sorted({port.protocol for port in ports if port.first is not None}):
        ranges = [_range(port) for port in ports if port.protocol == protocol and port.first is not None]
        matches.append(f"meta l4proto {protocol.lower()} {_PORT} {{ {', '.join(_disjoint(ranges))} }}")
    return matches


def _range(port: Ports) -> tuple[int, int]:
    first = port.first or 0
    return first, port.last or first


def _disjoint(ranges: Iterable[tuple[int, int]]) -> list[str]:
    """Merge overlapping ranges: nft refuses sets whose intervals conflict."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [f"{first}-{last}" if first != last else str(first) for first, last in merged]


def _set(name: str, addresses: list[str]) -> str:
    elements = f"elements = {{ {', '.join(sorted(set(addresses)))} }}" if addresses else ""
    return f"  set {name} {{ type ipv4_addr; {elements} }}"


def _lines(rules: Iterable[str]) -> str:
    return "\n".join(f"    {rule}" for rule in rules)
