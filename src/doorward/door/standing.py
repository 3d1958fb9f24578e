"""How a Grant stands: what the broker tells a door while people have not answered yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from doorward.core import problem
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

PENDING: Final = "pending"
ACTIVE: Final = "active"
OVER: Final = {
    "denied": Code.APPROVAL_DENIED,
    "expired": Code.GRANT_EXPIRED,
    "stale": Code.GRANT_STALE,
    "revoked": Code.REVOKED,
    "exhausted": Code.LIMIT_EXCEEDED,
}
"""States from which no Grant comes back, and the no that each means."""
ENDING: Final = {code: state for state, code in OVER.items() if state != "exhausted"}
"""The refusals of a decision that say that its Grant is over; a limit may be another one than the Grant's."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one Grant stands."""

    grant: str
    """Name of the Grant in the task's namespace."""
    state: str
    approvals: int
    """How many people have approved."""
    quorum: int
    """How many have to."""
    expires: int
    """When it stops waiting, or being usable, in seconds since the epoch."""

    def document(self) -> dict[str, Json]:
        """The members as agents see them."""
        return {
            "state": self.state,
            "grant": self.grant,
            "approvals": self.approvals,
            "quorum": self.quorum,
            "expires": self.expires,
        }


class Pending(Refusal):
    """The broker's no while people have been asked and have not answered."""

    def __init__(self, refusal: Refusal, standing: Standing) -> None:
        super().__init__(
            refusal.code,
            refusal.detail,
            rule=refusal.rule,
            allowed=refusal.allowed,
            ask=refusal.ask,
            decision=refusal.decision,
            status=refusal.status,
            members=refusal.members,
        )
        self.standing = standing


def refused(answer: Json, status: int) -> Refusal:
    """The broker's no; a `Pending` where it names the Grant that waits."""
    refusal = problem.from_document(answer, status)
    match answer:
        case {
            "code": Code.APPROVAL_PENDING.value,
            "grant": str(grant),
            "pending": {"expires": int(expires), "quorum": int(quorum), "approvals": int(approvals)},
        }:
            return Pending(refusal, Standing(grant, PENDING, approvals, quorum, expires))
    return refusal


def read(answer: Json) -> Standing:
    """The broker's answer about one Grant. Raises `Refusal(unavailable)` for any other shape."""
    match answer:
        case {
            "grant": str(grant),
            "state": str(state),
            "approvals": int(approvals),
            "quorum": int(quorum),
            "expires": int(expires),
        } if state in {PENDING, ACTIVE, *OVER}:
            return Standing(grant, state, approvals, quorum, expires)
    raise Refusal(Code.UNAVAILABLE, "the broker's word on a grant does not have the agreed shape")
