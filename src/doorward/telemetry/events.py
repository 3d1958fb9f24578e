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
    TASK_DELEGATED = "task.delegated"
    TASK_ENDED = "task.ended"
    TASK_FROZEN = "task.frozen"
    TASK_GRADED = "task.graded"
    TASK_THAWED = "task.thawed"
    REVOCATION_LATCHED = "revocation.latched"
    GRANT_REQUESTED = "grant.requested"
    GRANT_ACTIVATED = "grant.activated"
    GRANT_DENIED = "grant.denied"
    GRANT_EXPIRED = "grant.expired"
    GRANT_STALE = "grant.stale"
    GRANT_EXHAUSTED = "grant.exhausted"
    GRANT_REVOKED = "grant.revoked"
    APPROVAL_RECORDED = "approval.recorded"
    APPROVAL_REFUSED = "approval.refused"


MEANING: Final[Mapping[Event, str]] = {
    Event.EPOCH_STARTED: "A ledger began to write: a new one, or the same one after a restart.",
    Event.SESSION_OPENED: "A sidecar proved whose pod it is in and opened its session.",
    Event.SESSION_CLOSED: "A session ended: task over, or a new sidecar container took its place.",
    Event.SESSION_REFUSED: "Somebody asked for a session and was refused.",
    Event.FENCE_PROVEN: "Every probe that must fail did fail; the agent may start.",
    Event.FENCE_BREACHED: "A probe that must fail succeeded; the task is frozen.",
    Event.ACTION_PERMITTED: "The policy said yes, limits are reserved, a capability exists.",
    Event.ACTION_DENIED: "The policy or a limit said no, with the code and the rule; or `count` such noes of"
    " a minute together, by code.",
    Event.CAPABILITY_REDEEMED: "A connector consumed a capability and may act now.",
    Event.REDEMPTION_REFUSED: "A connector presented a capability that is not good any more; or `count` of"
    " them in a minute together, by code.",
    Event.OUTCOME_REPORTED: "The connector said how the action ended.",
    Event.OUTCOME_LOST: "No outcome came in time; the action counts as unknown and is not repeated.",
    Event.TASK_PINNED: "The broker took the role's contents as they were when the task was accepted.",
    Event.TASK_DELEGATED: "An agent started a child task, with no more authority than its own task has.",
    Event.TASK_ENDED: "The task is over; nothing of it is decided any more.",
    Event.TASK_FROZEN: "The task gets nothing until a person thaws it, with the cause and its story.",
    Event.TASK_GRADED: "What the task did made it slow, in need of people, or calm again.",
    Event.TASK_THAWED: "A person let a frozen task live again, by name and with the reason.",
    Event.REVOCATION_LATCHED: "A Revocation was taken into the ledger and holds from here on.",
    Event.GRANT_REQUESTED: "People are asked about one action with exactly these arguments.",
    Event.GRANT_ACTIVATED: "Enough people agreed, or a use came back; the action may happen.",
    Event.GRANT_DENIED: "A person said no; one is enough.",
    Event.GRANT_EXPIRED: "Nobody answered or used it in time, or the task ended.",
    Event.GRANT_STALE: "Task, role, Connector or namespace changed after people were asked.",
    Event.GRANT_EXHAUSTED: "Every use that people agreed to has been taken.",
    Event.GRANT_REVOKED: "A Revocation covers the Grant, or somebody deleted it.",
    Event.APPROVAL_RECORDED: "A person's answer counts, for good: deleting the Approval changes nothing.",
    Event.APPROVAL_REFUSED: "An answer does not count, with the code that says why.",
}
"""What each name means, for people."""
