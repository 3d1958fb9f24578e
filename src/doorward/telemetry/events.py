"""Names of ledger events: `subject.verb`. Append-only; a retired name stays here as a comment."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """What can happen, as the ledger names it."""

    EPOCH_STARTED = "epoch.started"
    SESSION_OPENED = "session.opened"
    SESSION_CLOSED = "session.closed"
    SESSION_REFUSED = "session.refused"
    FENCE_PROVEN = "fence.proven"
    FENCE_BREACHED = "fence.breached"
    ACTION_PERMITTED = "action.permitted"
    ACTION_DENIED = "action.denied"
    CAPABILITY_REDEEMED = "capability.redeemed"
    REDEMPTION_REFUSED = "redemption.refused"
    OUTCOME_REPORTED = "outcome.reported"
    OUTCOME_LOST = "outcome.lost"
    TASK_PINNED = "task.pinned"
    TASK_ENDED = "task.ended"
    TASK_FROZEN = "task.frozen"
    REVOCATION_LATCHED = "revocation.latched"
