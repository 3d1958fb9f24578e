"""Thaw: a person lets a frozen task live again."""

from __future__ import annotations

from typing import ClassVar

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    immutable,
    reason_of,
    ruled,
    state_of,
)
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import Generation, ObjectName, Sentence, User


class ThawSpec(Model):
    """Which task, and why. Never changes, and counts once: under its name for good."""

    model_config = ruled(immutable("a Thaw counts once; make another one under a new name"))

    task: ObjectName
    """Task in the same namespace; what it was frozen for before the Thaw was made is forgiven."""
    reason: Sentence
    """Why, for those who read the ledger."""
    user: User | None = None
    """Who thaws; filled in from the request, another name is refused."""


class ThawStatus(Observed):
    """What became of it."""

    conditions: Conditions = ()
    """Complete: the task lives again, or the reason why this Thaw never thaws anything."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class Thaw(Resource):
    """Lets a frozen task live again; needs the verb `thaw` on the task, and is not for who asked for it."""

    kind_info: ClassVar[Kind] = Kind(
        plural="thaws",
        singular="thaw",
        short_names=("tw",),
        columns=(
            Column("Task", ".spec.task", description="Task that is thawed."),
            Column("User", ".spec.user", description="Who thaws it."),
            state_of("Complete"),
            reason_of("Complete"),
            AGE,
            Column("Why", ".spec.reason", priority=1, description="Why it is thawed."),
        ),
    )

    spec: ThawSpec
    """Which task, and why."""
    status: ThawStatus = ThawStatus()
    """What became of it."""
