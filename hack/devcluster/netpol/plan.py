"""From policies to allowed connections: what each pod may accept and open, as plain values."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.netpol.model import Object, Pod, State
from devcluster.netpol.selectors import matches

PROTOCOLS = ("TCP", "UDP", "SCTP")

Pods = frozenset[Pod] | None
"""Peers of a rule; None means anyone, which is more than all pods."""


@dataclass(frozen=True)
class Block:
    """An address block without some of its parts."""

    cidr: str
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ports:
    """A range of ports of one protocol; all its ports when `first` is None."""

    protocol: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Allowance:
    """Connections that one rule allows: with these peers, on these ports.

    `peers` None means anyone, `ports` None means every protocol there is. Blocks and pod addresses add up.
    """

    peers: frozenset[str] | None
    blocks: tuple[Block, ...] = ()
    ports: tuple[Ports, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """By address of each pod that some policy isolates in that direction: what is allowed all the same."""

    ingress: Mapping[str, frozenset[Allowance]]
    egress: Mapping[str, frozenset[Allowance]]


def make_plan(state: State) -> Plan:
    """Apply every policy to every pod that it selects. Policies only ever add to what is allowed."""
    ingress: dict[str, frozenset[Allowance]] = {}
    egress: dict[str, frozenset[Allowance]] = {}
    for policy in state.policies:
        spec = policy["spec"]
        for pod in _selected(policy, state.pods):
            if "Ingress" in policy_types(spec):
                found = _allowances(state, policy, "from", spec.get("ingress"), pod)
                ingress[pod.ip] = ingress.get(pod.ip, frozenset()) | set(found)
            if "Egress" in policy_types(spec):
                found = _allowances(state, policy, "to", spec.get("egress"), None)
                egress[pod.ip] = egress.get(pod.ip, frozenset()) | set(found)
    return Plan(ingress, egress)


def policy_types(spec: Object) -> list[str]:
    """The directions a policy isolates. Unsaid, it is ingress, and egress if there is an egress section."""
    said: list[str] | None = spec.get("policyTypes")
    return said or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _selected(policy: Object, pods: Iterable[Pod]) -> Iterator[Pod]:
    selector = policy["spec"].get("podSelector") or {}
    for pod in pods:
        if pod.namespace == policy["metadata"]["namespace"] and matches(selector, pod.labels):
            yield pod


def _allowances(
    state: State, policy: Object, side: str, rules: list[Object] | None, subject: Pod | None
) -> Iterator[Allowance]:
    """Allowances of one section. Named ports are those of `subject`, or without one those of each peer."""
    for rule in rules or []:
        peers, blocks = _peers(state, policy, rule.get(side) or [])
        numbers, names = _split_ports(rule.get("ports") or [])
        if not numbers and not names:
            yield from _some(peers, blocks, None)
            continue
        yield from _some(peers, blocks, numbers) if numbers else ()
        for protocol, name in names:
            if subject is not None:
                yield from _some(peers, blocks, _resolve(subject, protocol, name))
            else:
                yield from _egress_by_name(state, peers, protocol, name)


def _some(peers: Pods, blocks: tuple[Block, ...], ports: tuple[Ports, ...] | None) -> Iterator[Allowance]:
    """One allowance, or none if it would allow nothing."""
    if ports == () or (peers is not None and not peers and not blocks):
        return
    yield Allowance(_addresses(peers), blocks, ports)


def _egress_by_name(state: State, peers: Pods, protocol: str, name: str) -> Iterator[Allowance]:
    """A named port of a peer is whatever that peer calls so; address blocks have no names for ports."""
    for pod in state.pods if peers is None else peers:
        yield from _some(frozenset({pod}), (), _resolve(pod, protocol, name))


def _resolve(pod: Pod, protocol: str, name: str) -> tuple[Ports, ...]:
    return tuple(
        Ports(protocol, number, number)
        for known, kind, number in pod.ports
        if (known, kind) == (name, protocol)
    )


def _addresses(peers: Pods) -> frozenset[str] | None:
    return None if peers is None else frozenset(pod.ip for pod in peers)


def _peers(state: State, policy: Object, peers: list[Object]) -> tuple[Pods, tuple[Block, ...]]:
    """Pods and blocks of a rule; no peers at all means anyone."""
    if not peers:
        return None, ()
    pods: set[Pod] = set()
    blocks: list[Block] = []
    for peer in peers:
        if "ipBlock" in peer:
            blocks += _block(peer["ipBlock"])
        else:
            pods |= set(_peer_pods(state, policy, peer))
    return frozenset(pods), tuple(blocks)


def _block(block: Object) -> list[Block]:
    """The block, or nothing for IPv6: the node has no such network, and its packets are dropped anyway."""
    if ipaddress.ip_network(block["cidr"], strict=False).version != 4:
        return []
    return [Block(_plain(block["cidr"]), tuple(sorted(map(_plain, block.get("except") or []))))]


def _plain(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr, strict=False))


def _peer_pods(state: State, policy: Object, peer: Object) -> Iterator[Pod]:
    """Pods of one peer: without a namespace selector, those of the policy's own namespace."""
    own = policy["metadata"]["namespace"]
    spaces, chosen = peer.get("namespaceSelector"), peer.get("podSelector") or {}
    for pod in state.pods:
        if spaces is None:
            near = pod.namespace == own
        else:
            near = matches(spaces, namespace_labels(state, pod.namespace))
        if near and matches(chosen, pod.labels):
            yield pod


def namespace_labels(state: State, name: str) -> Mapping[str, str]:
    """Labels of a namespace, with the name label that the API server guarantees."""
    return {"kubernetes.io/metadata.name": name, **state.namespaces.get(name, {})}


def _split_ports(ports: list[Any]) -> tuple[tuple[Ports, ...], list[tuple[str, str]]]:
    numbers: list[Ports] = []
    names: list[tuple[str, str]] = []
    for port in ports:
        protocol, number = port.get("protocol") or "TCP", port.get("port")
        if protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {protocol}")
        if isinstance(number, str):
            names.append((protocol, number))
        else:
            numbers.append(Ports(protocol, number, port.get("endPort") or number))
    return tuple(numbers), names
