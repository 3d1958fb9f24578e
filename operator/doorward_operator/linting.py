"""What keeps a role or a task from being accepted, in words: pure, and the same words as everywhere."""

from __future__ import annotations

from collections.abc import Mapping

from doorward import catalogue
from doorward.api.v1alpha1 import (
    AgentRole,
    AgentRoleStatus,
    AgentTask,
    Condition,
    ConditionType,
    Connector,
    merge,
)
from doorward.errors import Code, ConfigError, Refusal
from doorward.policy import Vocabulary, lint_connector, lint_role, lint_task
from doorward_operator import pods
from doorward_operator.pods import Finding, finding
from doorward_operator.reasons import Reason


def of_role(role: AgentRole | Refusal, connectors: Mapping[str, Connector | Refusal]) -> Finding | None:
    """The first thing that keeps tasks of the role from running; None when nothing does."""
    if isinstance(role, Refusal):
        return finding(Reason.ROLE_INVALID, role.detail)
    used = {rule.connector: connectors.get(rule.connector) for rule in role.spec.rules}
    absent = sorted(name for name, found in used.items() if found is None)
    if absent:
        remedy = f"Apply the Connector {', '.join(absent)}, or take its rules out of the role."
        return finding(Reason.CONNECTOR_NOT_FOUND, remedy)
    for name, found in used.items():
        if isinstance(found, Refusal):
            return finding(Reason.CONNECTOR_INVALID, f"{name}: {found.detail}")
    return _held(role, {name: found for name, found in used.items() if isinstance(found, Connector)})


def of_task(task: AgentTask, role: AgentRole, connectors: Mapping[str, Connector]) -> Finding | None:
    """What keeps the task from running in the role, which can be held; None when nothing does."""
    problems = lint_task(task, role, _vocabularies(connectors))
    return Finding(Code.OUT_OF_SCOPE.reason, "; ".join(map(str, problems))[:1024]) if problems else None


def role_status(
    before: AgentRoleStatus, generation: int, obstacle: Finding | None, now: float
) -> AgentRoleStatus | None:
    """The new status of a role; None when the present one says the same."""
    found = obstacle or finding(Reason.ACCEPTED)
    condition = Condition(
        type=ConditionType.ACCEPTED,
        status="True" if obstacle is None else "False",
        reason=found.reason,
        message=found.message,
        last_transition_time=pods.timestamp(now),
        observed_generation=generation,
    )
    update = {"conditions": merge(before.conditions, condition), "observed_generation": generation}
    after = before.model_copy(update=update)
    return None if after == before else after


def _held(role: AgentRole, connectors: Mapping[str, Connector]) -> Finding | None:
    for name, connector in connectors.items():
        try:
            known = catalogue.load(connector.spec.type)
        except ConfigError as error:
            return finding(Reason.CONNECTOR_INVALID, f"{name}: {error}")
        problems = lint_connector(connector, known.hash)
        if problems:
            return finding(Reason.CONNECTOR_INVALID, f"{name}: {problems[0]}")
    problems = lint_role(role, _vocabularies(connectors))
    return finding(Reason.ROLE_INVALID, "; ".join(map(str, problems))) if problems else None


def _vocabularies(connectors: Mapping[str, Connector]) -> dict[str, Vocabulary]:
    """The Connectors of types that this release knows, each with its actions."""
    known = {
        name: connector for name, connector in connectors.items() if connector.spec.type in catalogue.TYPES
    }
    return {
        name: Vocabulary(connector, catalogue.load(connector.spec.type).actions)
        for name, connector in known.items()
    }
