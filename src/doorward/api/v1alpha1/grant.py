"""Grant: one action for which people must agree, or that people have agreed to."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from doorward.api.v1alpha1.base import (
    AGE,
    Column,
    Kind,
    Model,
    Observed,
    Resource,
    immutable,
    ruled,
)
from doorward.api.v1alpha1.conditions import Conditions
from doorward.api.v1alpha1.fields import (
    ActionName,
    Digest,
    Generation,
    Name,
    ObjectName,
    ResourceValues,
    Sentence,
    Timestamp,
    Uid,
    User,
    span,
)


class ObjectRef(Model):
    """One object in the same namespace, and no later one of the same name."""

    name: ObjectName
    """Name of the object."""
    uid: Uid
    """UID of the object."""


class Escalation(Model):
    """Why an agent stopped and turns to people. All of it is the agent's claim, checked by nobody."""

    what: Sentence
    """What the agent was trying to do."""
    stopped: Sentence
    """Why it stopped."""
    evidence: Annotated[tuple[Sentence, ...], Field(max_length=8)] = ()
    """What it found, at most eight sentences."""
    decision: Sentence
    """Which decision it needs."""


class GrantSpec(Model):
    """What is asked for. Never changes, so that what was approved is what happens."""

    model_config = ruled(immutable("make another Grant"))

    task: ObjectRef
    """Task whose agent asks."""
    role: ObjectRef
    """Role the agent acts in."""
    rule: Name
    """Rule that demands the approval or is widened."""
    connector: Name
    """Connector that would carry the action out."""
    action: ActionName
    """The action, e.g. pull.merge."""
    resource: ResourceValues = Field(default_factory=dict)
    """What the action is done to, by attribute."""
    digest: Digest
    """Digest of the action with exactly its arguments; approvals name it."""
    summary: Annotated[str, StringConstraints(min_length=1, max_length=8192)]
    """The action in words, written by the broker from what it decoded, never by the agent."""
    reason: Sentence | None = None
    """Why, in the words of who asks; to be read as a claim."""
    escalation: Escalation | None = None
    """Why the agent stopped, in its own words; to be read as a claim."""
    author: User | None = None
    """Who made the Grant; filled in from the request, another name is refused."""
    max_uses: Annotated[int, Field(ge=1, le=100)] = 1
    """How often the action may happen."""
    ttl: span("1m", "24h") = "10m"  # type: ignore[valid-type]
    """How long the Grant stays usable once it is active."""
    expires: span("1m", "24h") = "30m"  # type: ignore[valid-type]
    """How long the Grant may wait for its approvals; silence is denial."""
    quorum: Annotated[int, Field(ge=1, le=5)] = 1
    """How many people have to approve the digest."""


class GrantPhase(StrEnum):
    """Where a Grant stands."""

    PENDING = "Pending"
    ACTIVE = "Active"
    EXHAUSTED = "Exhausted"
    EXPIRED = "Expired"
    DENIED = "Denied"
    REVOKED = "Revoked"
    STALE = "Stale"


class GrantStatus(Observed):
    """What became of the request. The ledger decides; this is its shadow."""

    phase: GrantPhase | None = None
    """Where the Grant stands, in one word."""
    uses: Annotated[int, Field(ge=0, le=100)] = 0
    """How often the action has been permitted."""
    approvals: Annotated[int, Field(ge=0, le=64)] = 0
    """How many people have approved, of the quorum."""
    expires_at: Timestamp | None = None
    """When the Grant stops waiting, or being usable."""
    conditions: Conditions = ()
    """Ready: the action may happen now."""
    observed_generation: Generation = 0
    """The generation of the spec that this status speaks of."""


class Grant(Resource):
    """A request that waits for people, or what they agreed to."""

    kind_info: ClassVar[Kind] = Kind(
        plural="grants",
        singular="grant",
        short_names=("gr",),
        columns=(
            Column("Task", ".spec.task.name", description="Task whose agent asks."),
            Column("Action", ".spec.action", description="The action."),
            Column("Phase", ".status.phase", description="Where the Grant stands."),
            Column("Approvals", ".status.approvals", "integer", description="How many people approved."),
            Column("Expires", ".status.expiresAt", "date", description="When it stops being usable."),
            AGE,
            Column("Summary", ".spec.summary", priority=1, description="The action in words."),
            Column("Quorum", ".spec.quorum", "integer", 1, "How many people must approve."),
            Column("Digest", ".spec.digest", priority=1, description="What approvals must name."),
        ),
    )

    spec: GrantSpec
    """What is asked for."""
    status: GrantStatus = GrantStatus()
    """What became of the request."""
