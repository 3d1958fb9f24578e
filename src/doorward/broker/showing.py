"""What people see of Grants and of their answers: the ledger's rows as statuses and Events. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import (
    Approval,
    ApprovalStatus,
    Condition,
    ConditionType,
    Grant,
    GrantPhase,
    GrantStatus,
    merge,
)
from doorward.errors import Code
from doorward.ledger import Counted, GrantRow, Thawed


@dataclass(frozen=True, slots=True)
class Word:
    """How one state is told."""

    event: str
    """Reason of the Event."""
    reason: str
    """Reason of the condition Ready."""
    message: str
    warning: bool = False


_AGAIN: Final = "delete the Grant to let the agent ask again"
WORDS: Final = {
    "pending": Word("GrantRequested", Code.APPROVAL_PENDING.reason, "answer with an Approval"),
    "active": Word("GrantActivated", "Approved", "enough people agreed: the agent may run the action"),
    "exhausted": Word("GrantExhausted", Code.LIMIT_EXCEEDED.reason, f"every use is taken; {_AGAIN}"),
    "expired": Word("GrantExpired", Code.GRANT_EXPIRED.reason, f"its time is over; {_AGAIN}", warning=True),
    "denied": Word("GrantDenied", Code.APPROVAL_DENIED.reason, f"a person said no; {_AGAIN}", warning=True),
    "revoked": Word("GrantRevoked", Code.REVOKED.reason, "it was taken back for good", warning=True),
    "stale": Word(
        "GrantStale",
        Code.GRANT_STALE.reason,
        f"the policy changed after people were asked; {_AGAIN}",
        warning=True,
    ),
}
"""Every state of a Grant."""


_THAWS: Final = {
    "thawed": ("Thawed", "the task lives again"),
    "nothing_frozen": ("NothingFrozen", "no task of this name is frozen"),
    "frozen_later": ("FrozenLater", "the task was frozen after this was made: look at it, and make another"),
    "used_before": ("UsedBefore", "a Thaw of this name counted before: make another under a new name"),
    "own_task": ("OwnTask", "it was asked for by who asked for the task: somebody else has to look at it"),
}
"""Outcome of a Thaw -> reason and message of its condition."""


def thaw_condition(thawed: Thawed, now: float) -> dict[str, Any]:
    """The condition Complete of a Thaw."""
    reason, message = _THAWS[thawed.outcome]
    return {
        "type": ConditionType.COMPLETE.value,
        "status": "True" if thawed.outcome == "thawed" else "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(now),
        "observedGeneration": 1,
    }


def grant_status(grant: Grant, row: GrantRow) -> GrantStatus:
    """The status that says what the ledger says."""
    word = WORDS[row.state]
    message = f"{row.reason}; {word.message}" if row.reason else word.message
    ready = _condition(
        grant, ConditionType.READY, row.changed_at, word.reason, message, holds=row.state == "active"
    )
    return GrantStatus(
        phase=GrantPhase(row.state.capitalize()),
        uses=row.uses,
        approvals=len(row.approvers),
        expires_at=stamp(row.expires_at),
        conditions=merge(grant.status.conditions, ready),
        observed_generation=grant.metadata.generation,
    )


def approval_status(found: Approval, row: GrantRow) -> ApprovalStatus | None:
    """The status of an answer; None while nothing is known about it."""
    judged = _judged(found, row)
    if judged is None:
        return None
    reason, message, at, holds = judged
    accepted = _condition(found, ConditionType.ACCEPTED, at, reason, message, holds=holds)
    return ApprovalStatus(
        conditions=merge(found.status.conditions, accepted),
        observed_generation=found.metadata.generation,
    )


def stamp(at: float) -> str:
    """A moment as the API writes it."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _judged(found: Approval, row: GrantRow) -> tuple[str, str, float, bool] | None:
    mine = next((item for item in row.answers if item.approval_uid == found.metadata.uid), None)
    if mine is not None and mine.refused is not None:
        message = f"it {mine.refusal}: somebody else has to answer"
        return Code(mine.refused).reason, message, mine.recorded_at, False
    if mine is not None:
        return "Counted", "it counts for good; a Revocation takes the Grant back", mine.recorded_at, True
    if any(_counts(item, found) for item in row.answers):
        return "Counted", "the same person's answer counted before", row.changed_at, True
    if row.open:
        return None
    return WORDS[row.state].reason, f"too late: the Grant is {row.state}", row.changed_at, False


def _counts(item: Counted, found: Approval) -> bool:
    return item.refused is None and (item.user, item.decision) == (found.spec.user, found.spec.decision.value)


def _condition(
    about: Grant | Approval, kind: ConditionType, at: float, reason: str, message: str, *, holds: bool
) -> Condition:
    return Condition(
        type=kind.value,
        status="True" if holds else "False",
        reason=reason,
        message=message,
        last_transition_time=stamp(at),
        observed_generation=about.metadata.generation,
    )
