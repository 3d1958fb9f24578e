"""Revocation: takes something back, at once and for good."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    immutable,
    rule,
    ruled,
    state_of,
)
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import Generation, Name, ObjectName, Sentence, Timestamp, Uid

_SOMETHING: Final = rule(
    "(has(self.everything) && self.everything) || (has(self.tasks) && size(self.tasks) > 0)"
    " || (has(self.roles) && size(self.roles) > 0) || (has(self.grants) && size(self.grants) > 0)"
    " || (has(self.capabilities) && size(self.capabilities) > 0)"
    " || (has(self.namespaces) && size(self.namespaces) > 0)",
    "nothing is revoked: name tasks, roles, grants, capabilities or namespaces, or set everything to true",
)


class RevocationSpec(Model):
    """What is taken back. Never changes, and deleting the object gives nothing back."""

    model_config = ruled(
        immutable("what is revoked stays revoked; make another Revocation for more"), _SOMETHING
    )

    tasks: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = ()
    """Tasks in the same namespace; their agents are ended."""
    roles: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Roles in the same namespace; every task in them is ended."""
    grants: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = ()
    """Grants in the same namespace."""
    capabilities: Annotated[tuple[Uid, ...], Field(max_length=64)] = ()
    """Single capabilities of the same namespace by their id (jti)."""
    namespaces: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Whole namespaces; from outside the release namespace, only the object's own."""
    everything: bool = False
    """All tasks of the object's namespace; in the release namespace, all tasks of the cluster."""
    reason: Sentence
    """Why, for those who read the ledger."""


class RevocationStatus(Observed):
    """Whether the revocation has taken effect."""

    latched_at: Timestamp | None = None
    """When the ledger took it in; from then on nothing revoked is redeemed."""
    beat: Annotated[str, StringConstraints(max_length=64)] | None = None
    """On the broker's own Revocation only: the mark that it waits to see come back, a new one each second."""
    conditions: Conditions = ()
    """Complete: the ledger holds the revocation."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class Revocation(Resource):
    """Takes tasks, roles, grants, capabilities, namespaces or everything back."""

    kind_info: ClassVar[Kind] = Kind(
        plural="revocations",
        singular="revocation",
        short_names=("rev",),
        columns=(
            state_of("Complete"),
            Column("Latched", ".status.latchedAt", "date", description="Since when it holds."),
            Column("Reason", ".spec.reason", description="Why."),
            AGE,
            Column("Everything", ".spec.everything", "boolean", 1, "Whether all is revoked."),
        ),
    )

    spec: RevocationSpec
    """What is taken back."""
    status: RevocationStatus = RevocationStatus()
    """Whether the revocation has taken effect."""
