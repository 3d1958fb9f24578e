"""The start gate: an agent may start when its pod was shown to reach nothing but the door.

What must be out of reach is probed until each target was blocked twice in a row. A canary that is not
known to live proves nothing, so at least one live canary must be among the targets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from doorward.door.session import Canary

IN_A_ROW: Final = 2
"""How often each target must be blocked, without a success between."""


class Reach(StrEnum):
    """What a probe found."""

    BLOCKED = "blocked"
    OPEN = "open"
    UNDECIDED = "undecided"
    """The probe itself failed, e.g. for want of a socket: evidence of nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something the pod must not reach."""

    name: str
    host: str
    """An address: a name that does not resolve would look like a fence."""
    port: int
    protocol: str
    canary: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """One probe's finding."""

    target: Target
    reach: Reach

    def document(self) -> dict[str, str | int | bool]:
        """As the broker is told."""
        return {
            "name": self.target.name,
            "host": self.target.host,
            "port": self.target.port,
            "protocol": self.target.protocol,
            "blocked": self.reach is Reach.BLOCKED,
        }


Streaks = Mapping[Target, int]
"""How often each target was blocked in a row."""


def targets(canaries: Iterable[Canary], api_host: str, node_ip: str) -> tuple[Target, ...]:
    """Everything to probe. Raises `ValueError` when a host is not an address."""
    fixed = (
        Target("api-server", api_host, 443, "tcp"),
        Target("kubelet", node_ip, 10250, "tcp"),
        Target("metadata", "169.254.169.254", 80, "tcp"),
        Target("metadata-v6", "fd00:ec2::254", 80, "tcp"),
    )
    live = (
        Target(canary.name, canary.host, canary.port, canary.protocol, canary=True)
        for canary in canaries
        if canary.alive
    )
    found = (*fixed, *live)
    for target in found:
        ipaddress.ip_address(target.host)
    return found


def counted(streaks: Streaks, sightings: Iterable[Sighting]) -> dict[Target, int]:
    """The streaks after one more round; what was not probed in it starts again."""
    return {
        sighting.target: streaks.get(sighting.target, 0) + 1 if sighting.reach is Reach.BLOCKED else 0
        for sighting in sightings
    }


def missing(streaks: Streaks, canaries: Iterable[Canary]) -> list[str]:
    """What stands between the agent and its start, in words; empty when the fence is proven.

    A fence may hold for one protocol and not for the other, so each that has a canary needs a live one.
    """
    waiting = [
        f"{target.name} ({target.host} {target.protocol}/{target.port}) blocked {count} of {IN_A_ROW} times"
        for target, count in streaks.items()
        if count < IN_A_ROW
    ]
    proven = {target.protocol for target in streaks if target.canary}
    if not proven:
        return [*waiting, "a canary that the broker knows to be alive"]
    silent = sorted({canary.protocol for canary in canaries} - proven)
    return [*waiting, *(f"a {protocol} canary that the broker knows to be alive" for protocol in silent)]


def decided(sightings: Sequence[Sighting]) -> list[Sighting]:
    """The probes that found something out; a probe that failed by itself accuses nobody."""
    return [sighting for sighting in sightings if sighting.reach is not Reach.UNDECIDED]


def undecided(sightings: Sequence[Sighting]) -> list[Sighting]:
    """The probes that found nothing out."""
    return [sighting for sighting in sightings if sighting.reach is Reach.UNDECIDED]


def breaches(sightings: Sequence[Sighting]) -> list[Sighting]:
    """The probes that got through."""
    return [sighting for sighting in sightings if sighting.reach is Reach.OPEN]
