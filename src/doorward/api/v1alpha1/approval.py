"""Approval: one person's answer to one Grant."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    immutable,
    ruled,
    state_of,
)
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import Digest, Generation, ObjectName, Sentence, User


def approval_name(grant: str, user: str) -> str:
    """The name of a person's answer to a Grant: one for each of both, so that nobody answers twice."""
    return f"{grant}-{hashlib.sha256(user.encode()).hexdigest()[:8]}"


class Answer(StrEnum):
    """What a person can say to a Grant."""

    APPROVE = "Approve"
    DENY = "Deny"


class ApprovalSpec(Model):
    """The answer. Never changes: whoever thinks again revokes."""

    model_config = ruled(immutable("an answer stands; take the grant back with a Revocation"))

    grant: ObjectName
    """Grant in the same namespace that is answered."""
    digest: Digest
    """Digest that the approver saw; it must be the one of the Grant."""
    decision: Answer
    """Approve or Deny."""
    reason: Sentence | None = None
    """Why, for those who read the ledger."""
    user: User | None = None
    """Who answers; filled in from the request, another name is refused."""
    groups: Annotated[tuple[User, ...], Field(max_length=128)] = ()
    """Groups of who answers; filled in from the request, anything else is refused."""


class ApprovalStatus(Observed):
    """Whether the answer counts."""

    conditions: Conditions = ()
    """Accepted: the answer counts towards the quorum."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class Approval(Resource):
    """One person's answer to one Grant; needs the verb `approve` on the role, and not the verb `use`."""

    kind_info: ClassVar[Kind] = Kind(
        plural="approvals",
        singular="approval",
        short_names=("appr",),
        columns=(
            Column("Grant", ".spec.grant", description="Grant that is answered."),
            Column("Decision", ".spec.decision", description="Approve or Deny."),
            Column("User", ".spec.user", description="Who answered."),
            state_of("Accepted"),
            AGE,
            Column("Reason", ".spec.reason", priority=1, description="Why."),
            Column("Digest", ".spec.digest", priority=1, description="What the approver saw."),
        ),
    )

    spec: ApprovalSpec
    """The answer."""
    status: ApprovalStatus = ApprovalStatus()
    """Whether the answer counts."""
