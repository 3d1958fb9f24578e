"""How much, over more than one task. Windows slide; counters go by name, so making anew resets nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from doorward.api.v1alpha1.base import Model
from doorward.api.v1alpha1.fields import Count, Decimals
from doorward.core.effect import Effect

Tokens = Annotated[int, Field(ge=1, le=1_000_000_000)]
Rate = Annotated[int, Field(ge=1, le=100_000)]
ObjectKind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-zA-Z0-9]{0,62}$", max_length=63)]
"""What a reference names, e.g. `issue` or `pull`."""


class Spending(Model):
    """What may be used up in a day besides actions."""

    tokens_per_day: Tokens | None = None
    """Model tokens in any 24 hours."""
    spend_per_day: Decimals | None = None
    """Money in any 24 hours, as a decimal in the connector's currency."""


class Allowance(Spending):
    """What many tasks may take together."""

    per_minute: Rate | None = None
    """Actions in any one minute."""
    per_day: Count | None = None
    """Actions in any 24 hours."""
    tasks: Count | None = None
    """Tasks at the same time; the next one waits until one has ended."""


class Ceilings(Allowance):
    """Bounds over all tasks of the role together, counted by name: making the role anew resets nothing."""

    open: Annotated[Mapping[ObjectKind, Count], Field(max_length=8)] = Field(default_factory=dict)
    """Objects that tasks of the role made and that are not known to be closed, by kind, e.g. `pull: 20`."""
    per_requester: Allowance = Allowance()
    """Bounds over all tasks of the role that the same person asked for."""


class TenantCeilings(Spending):
    """What the tasks of one namespace may take together; of entries that admit the same action, the least."""

    per_minute: Annotated[Mapping[Effect, Rate], Field(max_length=7)] = Field(default_factory=dict)
    """Actions in any one minute, by effect."""
    per_day: Annotated[Mapping[Effect, Count], Field(max_length=7)] = Field(default_factory=dict)
    """Actions in any 24 hours, by effect."""
