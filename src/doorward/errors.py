"""Every error Doorward raises on purpose, drawn once.

    DoorwardError
    ├── ConfigError      a process cannot start: names each variable and its remedy
    ├── Refusal          a no with a code; becomes a problem document (RFC 9457)
    └── SealBroken       code tried to build a Permit without the policy: a bug, never an answer

`Code` is the closed list of reasons. Conditions, Events, metrics and the ledger use the same words,
so a reason read anywhere can be searched for everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Why something was refused. Closed: a new member needs a line in docs/denials.md."""

    UNKNOWN_ACTION = "unknown_action"
    MALFORMED = "malformed"
    NO_RULE = "no_rule"
    ABOVE_CEILING = "above_ceiling"
    OUT_OF_SCOPE = "out_of_scope"
    WRONG_STAGE = "wrong_stage"
    ARGUMENTS_INVALID = "arguments_invalid"
    LIMIT_EXCEEDED = "limit_exceeded"
    BUDGET_EXHAUSTED = "budget_exhausted"
    CONDITION_FALSE = "condition_false"
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_DENIED = "approval_denied"
    GRANT_EXPIRED = "grant_expired"
    GRANT_STALE = "grant_stale"
    TASK_FROZEN = "task_frozen"
    TASK_ENDED = "task_ended"
    REVOKED = "revoked"
    SESSION_INVALID = "session_invalid"
    PROOF_INVALID = "proof_invalid"
    CAPABILITY_INVALID = "capability_invalid"
    CAPABILITY_EXPIRED = "capability_expired"
    REPLAYED = "replayed"
    DIGEST_MISMATCH = "digest_mismatch"
    CAVEAT_FAILED = "caveat_failed"
    UPSTREAM_REFUSED = "upstream_refused"
    OUTCOME_UNKNOWN = "outcome_unknown"
    HOLDS_SECRET = "holds_secret"  # noqa: S105 - a code, not a password
    RESERVED = "reserved"
    RENDER_SKEW = "render_skew"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"

    @property
    def status(self) -> int:
        """The HTTP status that goes with the code; 403 unless the no is about form or service."""
        return _STATUS.get(self, 403)

    @property
    def reason(self) -> str:
        """The same word as a condition or Event reason, e.g. `LimitExceeded`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


_STATUS: Final = {
    Code.MALFORMED: 400,
    Code.ARGUMENTS_INVALID: 422,
    Code.UNKNOWN_ACTION: 404,
    Code.SESSION_INVALID: 401,
    Code.PROOF_INVALID: 401,
    Code.CAPABILITY_INVALID: 401,
    Code.CAPABILITY_EXPIRED: 401,
    Code.RENDER_SKEW: 409,
    Code.UPSTREAM_REFUSED: 502,
    Code.OUTCOME_UNKNOWN: 504,
    Code.RATE_LIMITED: 429,
    Code.UNAVAILABLE: 503,
}


class DoorwardError(Exception):
    """Root of everything raised on purpose."""


class ConfigError(DoorwardError):
    """A setting is missing or wrong; the message names every such setting and what it takes."""


class SealBroken(DoorwardError):  # noqa: N818 - names what happened, not a kind of error
    """A Permit was built outside the policy."""


class Refusal(DoorwardError):  # noqa: N818 - the name is the meaning: a no is an answer, not a fault
    """A no: which code, which rule said so, what would have been allowed, how to ask.

    `status` overrides the code's HTTP status where the protocol has a more exact one (405, 413, 415).
    `members` are further members of the problem document, of those that `core.problem` lets through.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        rule: str | None = None,
        allowed: str | None = None,
        ask: str | None = None,
        decision: str | None = None,
        status: int | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.rule = rule
        self.allowed = allowed
        self.ask = ask
        self.decision = decision
        self.status = status or code.status
        self.members = dict(members or {})
