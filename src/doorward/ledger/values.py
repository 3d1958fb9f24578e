"""What goes into the ledger and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from doorward.core.action import Resource
from doorward.core.decision import Denial, Reservation
from doorward.core.strictjson import Json
from doorward.errors import Refusal

TaskState = Literal["live", "frozen", "ended"]
Outcome = Literal["succeeded", "failed", "unknown"]

EXECUTE_SECONDS: Final = 5.0
"""How long after its redemption a connector may still send."""
OUTCOME_SECONDS: Final = 60.0
"""How long after that an outcome may be missing before it counts as unknown."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A no that is written down: what the operation did stays, and the caller is told `refusal`."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Seats:
    """How many tasks may be there at the same time; None for any number."""

    of_role: int | None = None
    of_requester: int | None = None
    """In the role, of one person."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A task as it is at its first session; what is pinned never changes."""

    uid: str
    namespace: str
    name: str
    role: str
    role_snapshot: str
    """The AgentRole object as JSON."""
    pod_uid: str
    pod_name: str
    pod_created_at: float
    """Seconds since the epoch; a pod older than the ledger has a past that is not in it."""
    requested_by: str
    image: str
    seats: Seats = Seats()
    parent_uid: str | None = None
    """The task that started this one."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A child that a task starts."""

    parent_uid: str
    request: str
    """The door's id; asking again with it gives the same child."""
    name: str
    role: str
    digest: str
    """Of its spec."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """A task has started all the children that it may."""

    used: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the live pod's status says about the door's container."""

    container_id: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Door:
    """Who opens a session."""

    thumbprint: str
    """Of the key that signs its requests."""
    evidence: Evidence
    peer: str
    """Address that it came from."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open session."""

    id: str
    task_uid: str
    namespace: str
    task: str
    role: str
    pod_uid: str
    thumbprint: str
    peer: str
    """Address that the door came from; its requests come from there too."""
    opened_at: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to a door that opens its session."""

    session: Session
    new: bool
    replaced: str | None = None
    """The session that this one closed."""


@dataclass(frozen=True, slots=True)
class NotNewer:
    """Another key, and the pod's status shows no newer door: perhaps it lags behind."""

    evidence: Evidence
    """The evidence of the last session."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a decision, as it is written down."""

    session: str
    request: str
    """The door's id; asking again with it gives the same answer."""
    connector: str
    action: str
    effect: str | None
    """None when the action is unknown."""
    digest: str
    """Of the action, or of the raw request where there is no action yet."""
    resource: Resource
    attachments: tuple[Mapping[str, Json], ...] = ()
    behalf: str | None = None
    """UID of the task for whose decision the broker asks; None where a door asks."""


OverLimit = Callable[[Reservation, int], Denial]
"""The policy's words for a reservation that did not fit, given what was used."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what decisions are written down."""

    epoch: str
    lifetime: int
    """Seconds a capability lives."""
    max_denials: int
    """Of one task; one more freezes it."""
    over_limit: OverLimit
    quiet: bool = False
    """Whether a no is only answered: the caller counts it, and nothing is written."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A durable yes."""

    decision: str
    capability: str
    """The `jti` of the token that may be minted."""
    event: str
    """Hash of the decision event."""
    issued_at: int


@dataclass(frozen=True, slots=True)
class Denied:
    """A durable no."""

    decision: str
    denial: Denial
    event: str
    froze: bool = False
    """Whether it was one denial too many."""


GrantState = Literal["pending", "active", "exhausted", "expired", "denied", "revoked", "stale"]


@dataclass(frozen=True, slots=True)
class Question:
    """What people are asked: everything about a Grant that never changes."""

    namespace: str
    name: str
    task_uid: str
    task: str
    role: str
    rule: str
    connector: str
    action: str
    digest: str
    policy_hash: str
    quorum: int
    max_uses: int
    ttl: int
    """Seconds it may be used once enough people have agreed."""
    expires: int
    """Seconds it may wait for them."""
    author: str
    requested_by: str
    """Who wants the task done, and so does not approve what it does."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One person's answer in the ledger."""

    user: str
    decision: Literal["Approve", "Deny"]
    groups: tuple[str, ...]
    approval_uid: str
    recorded_at: float
    refused: str | None = None
    """Code of why it does not count; None where it does."""
    refusal: str | None = None
    """The same in words."""


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A Grant as the ledger knows it."""

    namespace: str
    name: str
    uid: str | None
    """None while the object has been asked for and not been seen."""
    task_uid: str
    task: str
    role: str
    rule: str
    connector: str
    action: str
    digest: str
    policy_hash: str
    quorum: int
    max_uses: int
    ttl: int
    author: str
    requested_by: str
    state: GrantState
    reason: str | None
    requested_at: float
    changed_at: float
    expires_at: float
    gone_at: float | None
    uses: int = 0
    answers: tuple[Counted, ...] = ()

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who agreed, in order."""
        return tuple(item.user for item in self.answers if not item.refused and item.decision == "Approve")

    @property
    def open(self) -> bool:
        """Whether it may still come to something."""
        return self.state in {"pending", "active"} and self.gone_at is None


@dataclass(frozen=True, slots=True)
class Claim:
    """A connector's wish to spend a capability, all of it verified before it comes here."""

    jti: str
    audience: str
    digest: str
    epoch: str
    redeemer: str
    """Service account of the connector."""
    instance: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The capability is spent, by this redeemer."""

    redemption: str
    execute_by: float
    event: str | None
    """None where it was the same connector's retry."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an execution."""

    redemption: str
    redeemer: str
    outcome: Outcome
    status: int | None
    """HTTP status of the upstream."""
    references: tuple[Mapping[str, Json], ...]
    bytes: int
    sent: bool
    """Whether any byte may have reached the upstream; nothing is given back otherwise."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """What was used of `tokens` and `spend` (in millionths); what is left out was used up to the most."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One action of a task that has ended."""

    rule: str
    connector: str
    action: str
    outcome: Outcome
    resource: Resource
    role: str
    task: str
    at: float
    """When the capability was spent, in seconds since the epoch."""
    shown: tuple[Mapping[str, Json], ...] = ()
    """References that the outcome reported, {kind, id} each."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An outcome is durable."""

    event: str
    connector: str
    action: str
    new: bool


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of the ledger. A ledger that was lost or set back starts a new one."""

    number: int
    id: str
    statement: str
    """JWS of the broker over the epoch."""
    started_at: float
    trusts_after: float
    """Pods made before this are frozen when they come: what they did before is not known."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as the ledger knows it."""

    uid: str
    namespace: str
    name: str
    role: str
    role_snapshot: str
    pod_uid: str
    pod_name: str
    state: TaskState
    reason: str | None
    grade: int = 0
    """How it is treated, see `core.grade`."""
    cause: str | None = None
    story: str | None = None
    graded_until: float | None = None


@dataclass(frozen=True, slots=True)
class ThawRequest:
    """A Thaw object."""

    uid: str
    namespace: str
    name: str
    task: str
    user: str
    """Who wants it, as admission has seen them."""
    reason: str
    created_at: float
    """By the API server's clock: it thaws what was frozen before."""
    involved: tuple[str, ...]
    """Who asked for the task, as far as the cluster still knows."""


@dataclass(frozen=True, slots=True)
class Thawed:
    """What became of a Thaw."""

    outcome: str
    task_uid: str | None
    """The task that lives again."""
    new: bool
    sessions_closed: bool = False
    """Whether its door has to open a new session, from a new container."""


@dataclass(frozen=True, slots=True)
class Attended:
    """A session as all brokers know it."""

    session: Session
    role_snapshot: str
    state: TaskState
    reason: str | None
    cause: str | None
    """Of a task that is frozen or graded, see `core.grade`."""
    grade: int
    story: str | None
    graded_until: float | None
    closed: bool
    fenced_at: float | None
    """Since when the latest report of its fence counts, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """The public key that one of the brokers signs with."""

    kid: str
    statement: str
    published_at: float
    expires_at: float
