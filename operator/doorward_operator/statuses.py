"""From findings to the next status of a task: pure, and equal to the present one when nothing is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import AgentTaskStatus, Condition, ConditionType, Phase, merge
from doorward_operator import pods
from doorward_operator.pods import Finding
from doorward_operator.reasons import Reason

_STICKY: Final = frozenset({ConditionType.RUNNING, ConditionType.FENCE_PROVEN})
"""Conditions whose message stays with the reason: kubelet and scheduler reword theirs all the time."""
_EXACT: Final = frozenset({Reason.POD_REFUSED})
"""Reasons whose latest message counts: a pod may be refused for one thing first, and for another later."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is found about one condition."""

    holds: bool
    finding: Finding


Verdicts = Mapping[ConditionType, Verdict]


@dataclass(frozen=True, slots=True)
class Report:
    """What a status should say; None leaves what it says."""

    phase: Phase
    verdicts: Verdicts
    pod_name: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


def updated(before: AgentTaskStatus, generation: int, report: Report, now: float) -> AgentTaskStatus:
    """The status after the report; conditions of others stay as they are."""
    changes = [
        _condition(before, kind, verdict, generation, now) for kind, verdict in report.verdicts.items()
    ]
    return before.model_copy(
        update={
            "phase": report.phase,
            "conditions": merge(before.conditions, *changes),
            "observed_generation": generation,
            "pod_name": report.pod_name or before.pod_name,
            "started_at": report.started_at or before.started_at,
            "finished_at": report.finished_at or before.finished_at,
        }
    )


def _condition(
    before: AgentTaskStatus, kind: ConditionType, verdict: Verdict, generation: int, now: float
) -> Condition:
    message, reason = verdict.finding.message, verdict.finding.reason
    known = next((item for item in before.conditions if item.type == kind), None)
    if known is not None and kind in _STICKY and known.reason == reason and reason not in _EXACT:
        message = known.message
    return Condition(
        type=kind,
        status="True" if verdict.holds else "False",
        reason=reason,
        message=message[:4096],
        last_transition_time=pods.timestamp(now),
        observed_generation=generation,
    )
