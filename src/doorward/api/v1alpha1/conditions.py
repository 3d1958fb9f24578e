"""Conditions (KEP-1623): positive only, and the message ends with what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from doorward.api.v1alpha1.base import Observed
from doorward.api.v1alpha1.fields import Generation, Timestamp


class ConditionType(StrEnum):
    """Every condition that Doorward sets."""

    ACCEPTED = "Accepted"
    POLICY_READY = "PolicyReady"
    IDENTITY_READY = "IdentityReady"
    FENCE_PROVEN = "FenceProven"
    RUNNING = "Running"
    COMPLETE = "Complete"
    READY = "Ready"


class Condition(Observed):
    """One aspect of the state of an object."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]*$", max_length=64)]
    """Name of the condition, unique in its list."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*$", min_length=1, max_length=64)]
    """One word for why, from the same closed list that Events, metrics and the ledger use."""
    message: Annotated[str, StringConstraints(max_length=4096)] = ""
    """A sentence for people, ending with what to do next."""
    last_transition_time: Timestamp
    """When the status last changed."""
    observed_generation: Generation = 0
    """The generation of the spec that this condition speaks of."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def merge(current: Iterable[Condition], *changes: Condition) -> tuple[Condition, ...]:
    """The conditions after the changes, in order of first appearance.

    A change that leaves the status as it was keeps the old transition time, so that merging the same
    findings twice yields equal values and no write.
    """
    found = {item.type: item for item in current}
    for change in changes:
        before = found.get(change.type)
        if before is not None and before.status == change.status:
            kept = {"last_transition_time": before.last_transition_time}
            found[change.type] = change.model_copy(update=kept)
        else:
            found[change.type] = change
    return tuple(found.values())
