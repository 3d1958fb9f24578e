"""The two answers of the policy. A `Permit` is a value that only the policy can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from enum import StrEnum

from doorward.core.action import Action
from doorward.core.effect import Effect
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal, SealBroken


class Unit(StrEnum):
    """What a counter counts."""

    ACTIONS = "actions"
    BYTES = "bytes"
    """Sent and read together."""
    TOKENS = "tokens"
    SPEND = "spend"
    """Millionths of the connector's currency, so that sums are exact."""
    OPEN = "open"
    """Objects that were made upstream and are not known to be closed."""


class Holder(StrEnum):
    """Whose bound a counter holds."""

    RULE = "rule"
    """A rule, in the life of one task."""
    TASK = "task"
    ROLE = "role"
    """All tasks of a role."""
    REQUESTER = "requester"
    """All tasks of a role that one person asked for."""
    CONNECTOR = "connector"
    """All tasks of a namespace through one Connector."""
    GRANT = "grant"
    """What people agreed to."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room that must be taken, atomically, before the permit is worth anything."""

    key: str
    """Counter, e.g. `task:<uid>/rule:comment` or `role:<ns>/<name>`; survives recreation by name."""
    limit: int
    amount: int = 1
    window_seconds: int | None = None
    """Length of the window; None counts for ever."""
    unit: Unit = Unit.ACTIONS
    uncertain: int = 0
    """How much of the amount is a most: the outcome says what of it was used, and the rest comes back."""
    holder: Holder = Holder.TASK
    name: str = ""
    """The rule, role, person or Connector that holds the bound."""
    effect: Effect | None = None
    """The only effect that is counted; None counts all."""
    kind: str = ""
    """Of the objects that are counted open, e.g. `pull`."""


@dataclass(frozen=True, slots=True)
class Demand:
    """People who must agree to an action before it may happen."""

    rule: str
    """The rule under which they are asked."""
    quorum: int
    """How many different people."""
    expires: int
    """Seconds that the question waits; silence is denial."""


@dataclass(frozen=True, slots=True)
class Principal:
    """For whom an action happens."""

    task_uid: str
    task: str
    namespace: str
    role: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class Permit:
    """A yes to one action, once the reservations hold.

    Building one needs the seal from `doorward.core.permitting`, which only the policy may import:
    whoever holds a Permit holds proof that the policy said yes.
    """

    action: Action
    effect: Effect
    principal: Principal
    rule: str
    policy_hash: str
    """Digest of the contents and UIDs that the policy evaluated."""
    audience: str
    reservations: tuple[Reservation, ...] = ()
    caveats: Mapping[str, Json] = field(default_factory=dict)
    """What the connector checks again, mechanically, right before the call."""
    seal: InitVar[object] = None
    """Not kept: a copy of a Permit with another action in it needs the seal again."""
    grant: str | None = None
    """UID of the Grant that people agreed to; None where nobody had to."""
    approvers: tuple[str, ...] = ()
    """Who agreed."""

    def __post_init__(self, seal: object) -> None:
        from doorward.core.permitting import SEAL  # noqa: PLC0415 - the seal stays out of reach

        if seal is not SEAL:
            msg = "a Permit is built by the policy only"
            raise SealBroken(msg)


@dataclass(frozen=True, slots=True)
class Denial:
    """A no, with everything its reader needs to do better."""

    code: Code
    detail: str
    rule: str | None = None
    allowed: str | None = None
    ask: str | None = None
    demand: Demand | None = None
    """Whom it would take; only with `approval_required`, which is the no that people can lift."""
    grant: str | None = None
    """UID of the Grant that this is about."""

    def refusal(self, decision: str | None = None, members: Mapping[str, object] | None = None) -> Refusal:
        """The exception that carries this no to the edge, with further members of its document."""
        return Refusal(
            self.code,
            self.detail,
            rule=self.rule,
            allowed=self.allowed,
            ask=self.ask,
            decision=decision,
            members=members,
        )
