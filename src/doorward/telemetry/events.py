"""Names of ledger events: `subject.verb`. Append-only; a retired name stays here as a comment."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


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


MEANING: Final[Mapping[Event, str]] = {
    Event.EPOCH_STARTED: "A ledger began to write: a new one, or the same one after a restart.",
    Event.SESSION_OPENED: "A sidecar proved whose pod it is in and opened its session.",
    Event.SESSION_CLOSED: "A session ended: task over, or a new sidecar container took its place.",
    Event.SESSION_REFUSED: "Somebody asked for a session and was refused.",
    Event.FENCE_PROVEN: "Every probe that must fail did fail; the agent may start.",
    Event.FENCE_BREACHED: "A probe that must fail succeeded; the task is frozen.",
    Event.ACTION_PERMITTED: "The policy said yes, limits are reserved, a capability exists.",
    Event.ACTION_DENIED: "The policy or a limit said no, with the code and the rule.",
    Event.CAPABILITY_REDEEMED: "A connector consumed a capability and may act now.",
    Event.REDEMPTION_REFUSED: "A connector presented a capability that is not good any more.",
    Event.OUTCOME_REPORTED: "The connector said how the action ended.",
    Event.OUTCOME_LOST: "No outcome came in time; the action counts as unknown and is not repeated.",
    Event.TASK_PINNED: "The broker took the role's contents as they were when the task was accepted.",
    Event.TASK_ENDED: "The task is over; nothing of it is decided any more.",
    Event.TASK_FROZEN: "The task did what only theft or a broken fence explains.",
    Event.REVOCATION_LATCHED: "A Revocation was taken into the ledger and holds from here on.",
}
"""What each name means, for people."""
