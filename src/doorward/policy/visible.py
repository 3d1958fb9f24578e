"""What exists for a task: the answer to `GET /v1/actions`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import AgentRole, Connector, Rule, Tenant
from doorward.core.action import ActionType
from doorward.core.decision import Reservation
from doorward.core.effect import Effect
from doorward.core.strictjson import JsonObject
from doorward.policy import approvals, guards, limits, reach, stages
from doorward.policy.context import Context
from doorward.policy.provenance import Own

_ANYWHERE: Final = {"environment": ""}
"""A resource that is no production: what may be done elsewhere without people is not said to need them."""


@dataclass(frozen=True, slots=True)
class VisibleAction:
    """One action under one rule, as its agent may see it."""

    connector: str
    action: str
    effect: Effect
    summary: str
    rule: str
    arguments: JsonObject
    """JSON Schema of the arguments, narrowed by the rule."""
    resources: Mapping[str, tuple[str, ...]]
    """Attribute of the resource -> globs of the rule."""
    quorum: int
    """How many people must agree first; 0 where nobody must."""
    reservations: tuple[Reservation, ...]
    """Counters that the action takes room from."""


def visible_actions(context: Context) -> tuple[VisibleAction, ...]:
    """What the rules of the pinned and of the current role name, below the ceiling, in this stage.

    For the one Connector of the context. What is not listed does not exist for the agent.
    """
    connector = context.connector
    if connector is None or context.ended or context.frozen or context.revoked:
        return ()
    if connector.spec.catalogue_hash != context.catalogue_hash:
        return ()
    found = tuple(_rows(context, connector))
    if context.parent is None:
        return found
    above = {row.action for row in visible_actions(context.parent)}
    return tuple(row for row in found if row.action in above)


def _rows(context: Context, connector: Connector) -> Iterator[VisibleAction]:
    tenants = reach.tenants_of(connector, context.namespace_labels)
    effects = {effect for tenant in tenants for effect in tenant.effects}
    for action in context.actions.values():
        effect = reach.effect_of(action, connector)
        pinned = _naming(context.pinned_role, context, connector, action)
        current = _naming(context.current_role, context, connector, action)
        if effect not in effects or not pinned:
            continue
        admitting = tuple(tenant for tenant in tenants if effect in tenant.effects)
        for rule in current:
            quorum = _quorum(context, admitting, effect, (*pinned[:1], rule))
            yield _row(context, connector, action, rule, quorum)


def _naming(
    role: AgentRole | None, context: Context, connector: Connector, action: ActionType
) -> tuple[Rule, ...]:
    stage = stages.current(context)
    effect = reach.effect_of(action, connector)
    return tuple(
        rule
        for rule in (role.spec.rules if role else ())
        if rule.connector == connector.metadata.name
        and reach.names(rule, action, effect)
        and (stage is None or rule.name in stage.rules)
    )


def _quorum(context: Context, tenants: tuple[Tenant, ...], effect: Effect, rules: tuple[Rule, ...]) -> int:
    """How many people must agree, as far as it can be told without a resource: there it may be more."""
    beyond = approvals.asked_beyond_rules(context, tenants, effect)
    if beyond is None and all(
        guards.demand(rule, effect, _ANYWHERE, Own(context.task.spec.role)) is None for rule in rules
    ):
        return 0
    return approvals.terms(rules, tenants)[0]


def _row(
    context: Context, connector: Connector, action: ActionType, rule: Rule, quorum: int
) -> VisibleAction:
    effect = reach.effect_of(action, connector)
    return VisibleAction(
        connector=connector.metadata.name,
        action=action.name,
        effect=effect,
        summary=action.summary,
        rule=rule.name,
        arguments={"allOf": [action.arguments, rule.arguments]} if rule.arguments else action.arguments,
        resources=rule.resources,
        quorum=quorum,
        reservations=_counted(context, connector, action, rule),
    )


def _counted(
    context: Context, connector: Connector, action: ActionType, rule: Rule
) -> tuple[Reservation, ...]:
    """What the action would take with the largest use its type declares, from both readings of the role."""
    task, effect = context.task, reach.effect_of(action, connector)
    load = limits.Load(action, effect, {})
    roles = [role for role in (context.pinned_role, context.current_role) if role is not None]
    rules = [rule, *(item for item in context.pinned_role.spec.rules if item.name == rule.name)]
    requester = task.spec.requested_by or ""
    named = reach.tenants_of(connector, context.namespace_labels)
    tenants = [tenant for tenant in named if effect in tenant.effects]
    found = [
        *(item for each in rules for item in limits.of_rule(task, each)),
        *(item for role in roles for item in limits.of_role(role, requester, load)),
        *limits.of_connector(connector, tenants, task.metadata.namespace, load),
        *limits.of_task(task, load),
    ]
    return limits.strictest(found)
