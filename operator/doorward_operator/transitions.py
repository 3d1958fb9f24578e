"""Which Events a change of status is worth: one per change, none for what stayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import AgentTaskStatus, Condition, ConditionType, Phase
from doorward_operator.reasons import EventReason, Reason

_STUCK: Final = frozenset(
    {Reason.UNSCHEDULABLE, Reason.IMAGE_PULL_FAILED, Reason.CONTAINER_NOT_STARTED, Reason.DOOR_FAILING}
)


@dataclass(frozen=True, slots=True)
class Note:
    """An Event to write."""

    reason: EventReason
    text: str

    @property
    def warning(self) -> bool:
        """Whether people should look."""
        return self.reason not in {EventReason.STARTED, EventReason.FINISHED}


def notes(before: AgentTaskStatus, after: AgentTaskStatus) -> tuple[Note, ...]:
    """The Events between two statuses."""
    kinds = (
        ConditionType.ACCEPTED,
        ConditionType.POLICY_READY,
        ConditionType.RUNNING,
        ConditionType.FENCE_PROVEN,
    )
    found = [_phase(before, after), *(_condition(_of(before, kind), _of(after, kind)) for kind in kinds)]
    return tuple(note for note in found if note is not None)


def _phase(before: AgentTaskStatus, after: AgentTaskStatus) -> Note | None:
    if before.phase == after.phase or after.phase is None:
        return None
    complete = _of(after, ConditionType.COMPLETE)
    text = "" if complete is None else complete.message
    if after.phase is Phase.RUNNING:
        return Note(EventReason.STARTED, "The agent runs, behind a proven fence.")
    if after.phase is Phase.SUCCEEDED:
        return Note(EventReason.FINISHED, text)
    return Note(EventReason.FAILED, text) if after.phase.final else None


def _condition(before: Condition | None, after: Condition | None) -> Note | None:
    if after is None or after.status == "True" or (before is not None and before.reason == after.reason):
        return None
    if after.type == ConditionType.ACCEPTED:
        return Note(EventReason.NOT_ACCEPTED, after.message)
    if after.reason == Reason.POLICY_WIDENED:
        return Note(EventReason.POLICY_WIDENED, after.message)
    if after.reason == Reason.POD_REFUSED:
        return Note(EventReason.POD_REFUSED, after.message)
    return Note(EventReason.NOT_STARTING, after.message) if after.reason in _STUCK else None


def _of(status: AgentTaskStatus, kind: ConditionType) -> Condition | None:
    return next((item for item in status.conditions if item.type == kind), None)
