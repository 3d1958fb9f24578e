"""What admission knows of the cluster, without asking anybody while it decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Grant
from doorward.render import RenderSettings

SCHEDULER = "system:kube-scheduler"


class Known(Protocol):
    """Objects as the caches have them. An object that cannot be read counts as absent."""

    def task(self, namespace: str, name: str) -> AgentTask | None:
        """A task by name."""

    def role(self, namespace: str, name: str) -> AgentRole | None:
        """A role by name."""

    def grant(self, namespace: str, name: str) -> Grant | None:
        """A grant by name."""

    def enrolled(self, namespace: str) -> bool:
        """Whether agents run in a namespace."""

    def connectors(self) -> Mapping[str, Connector]:
        """All connectors, by name."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision depends on besides the question."""

    operator: str
    """User name of the operator's service account."""
    known: Known
    renderings: Sequence[RenderSettings]
    """What pods are rendered with: the current settings first, then those that were in force until lately."""
    schedulers: frozenset[str] = field(default=frozenset({SCHEDULER}))
    """Users that may bind pods to nodes."""
