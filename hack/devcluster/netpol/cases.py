"""Reads the table of NetworkPolicy cases, which the unit and the e2e tier share."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from devcluster.netpol.model import Pod, State

OUTSIDE = "outside"
SERVED = (("TCP", 80), ("TCP", 81), ("UDP", 80))
"""What every pod of the table listens on."""


@dataclass(frozen=True)
class Connection:
    """One attempt: names of the table's pods (or `outside`), protocol and port."""

    source: str
    target: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Case:
    """One row: a cluster, and examples of what must and must not be possible in it."""

    promise: str
    state: State
    addresses: dict[str, str]
    allow: frozenset[Connection]
    deny: frozenset[Connection]


def read(path: Path) -> list[Case]:
    """All rows of a table."""
    table = yaml.safe_load(path.read_text())
    pods = tuple(_pod(name, pod) for name, pod in table["pods"].items())
    addresses = {f"{pod.namespace}/{pod.name}": pod.ip for pod in pods} | {OUTSIDE: table["outside"]}
    return [_case(case, pods, table["namespaces"], addresses) for case in table["cases"]]


def _pod(name: str, pod: dict[str, Any]) -> Pod:
    namespace, short = name.split("/")
    ports = tuple((label, "TCP", number) for label, number in pod.get("ports", {}).items())
    return Pod(namespace, short, pod["ip"], pod["labels"], ports)


def _case(
    case: dict[str, Any], pods: tuple[Pod, ...], namespaces: dict[str, Any], addresses: dict[str, str]
) -> Case:
    policies = tuple(
        {"metadata": {"namespace": policy["namespace"], "name": f"policy-{number}"}, "spec": policy["spec"]}
        for number, policy in enumerate(case["policies"])
    )
    return Case(
        case["promise"],
        State(pods=pods, namespaces=namespaces, policies=policies),
        addresses,
        frozenset(each for example in case.get("allow", []) for each in _expand(example, addresses)),
        frozenset(each for example in case.get("deny", []) for each in _expand(example, addresses)),
    )


def _expand(example: str, addresses: dict[str, str]) -> Iterator[Connection]:
    source, target, port = example.split()
    for connection in every(addresses):
        said = f"{connection.protocol}/{connection.port}"
        pairs = ((source, connection.source), (target, connection.target), (port, said))
        if all(wanted in {"*", actual} for wanted, actual in pairs):
            yield connection


def every(addresses: dict[str, str]) -> Iterator[Connection]:
    """Every connection between two different places of the table, on every port that is served."""
    for source, target in product(addresses, repeat=2):
        if source != target:
            for protocol, port in SERVED:
                yield Connection(source, target, protocol, port)
