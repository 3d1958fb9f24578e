"""The checks, each a pure function of a case: it narrows the case or says no.

A case starts with all rules of the pinned and of the current role as candidates. A check that speaks
of rules keeps those that pass; when none is left in either role, that check is what the no is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from doorward.api.v1alpha1 import AgentRole, Connector, Rule, Tenant
from doorward.core import schemacheck
from doorward.core.action import ActionType, Resource, arguments_of, resource_of
from doorward.core.decision import Denial, Reservation
from doorward.core.effect import Effect
from doorward.errors import Code, Refusal
from doorward.policy import evaluate, facts, guards, limits, reach, schemas, stages
from doorward.policy.context import ActionRequest, Context, GrantFact
from doorward.policy.evaluate import Question, Verdict
from doorward.policy.facts import Unreachable
from doorward.policy.provenance import Own


@dataclass(frozen=True, slots=True)
class Case:
    """A request on its way through the chain."""

    request: ActionRequest
    context: Context
    pinned: tuple[Rule, ...]
    """Candidates of the role as it was pinned."""
    current: tuple[Rule, ...]
    """Candidates of the role as it is."""
    action: ActionType
    effect: Effect
    resource: Resource
    connector: Connector
    tenants: tuple[Tenant, ...] = ()
    """Entries of the Connector's ceiling that admit the action."""
    grant: GrantFact | None = None
    """The Grant that people agreed to."""
    reservations: tuple[Reservation, ...] = ()

    @property
    def roles(self) -> tuple[AgentRole, ...]:
        """Both readings of the role."""
        found = (self.context.pinned_role, self.context.current_role)
        return tuple(role for role in found if role is not None)

    @property
    def variables(self) -> dict[str, Any]:
        """What conditions see."""
        return {
            **facts.variables(self.context),
            "approvals": [item.value() for item in self.grant.approved] if self.grant else [],
            "action": self.request.action,
            "args": dict(self.request.args),
            "resource": dict(self.resource),
        }

    @property
    def own(self) -> Own:
        """Whose facts guard nothing here."""
        return Own(self.context.task.spec.role)


class Objection(NamedTuple):
    """Why a rule does not permit, and what it would."""

    detail: str
    allowed: str


Gate = Callable[[Context], Denial | None]
"""A check of the task alone."""

Check = Callable[[Case], Case | Denial]
"""A check of one action."""


def task_lives(context: Context) -> Denial | None:
    """A task that has ended does nothing any more."""
    if context.ended:
        return Denial(Code.TASK_ENDED, "the task has ended", ask="a new task")
    return None


def task_not_frozen(context: Context) -> Denial | None:
    """A frozen task waits for people."""
    if context.frozen:
        return Denial(Code.TASK_FROZEN, "the task is frozen", ask="the task's owner to look into its events")
    return None


def not_revoked(context: Context) -> Denial | None:
    """What has been revoked stays revoked."""
    if context.revoked:
        return Denial(Code.REVOKED, "the task, its role or its namespace has been revoked", ask="a new task")
    return None


def action_known(request: ActionRequest, context: Context) -> Case | Denial:
    """The action exists, and its arguments name a resource."""
    connector, action = context.connector, context.actions.get(request.action)
    heard = connector is not None and _is_heard_of(connector, context)
    if connector is None or action is None or connector.metadata.name != request.connector or not heard:
        return Denial(
            Code.UNKNOWN_ACTION,
            f"there is no action {request.connector}/{request.action}",
            allowed=_LISTED,
        )
    try:
        resource = resource_of(action, request.args)
    except Refusal as refusal:
        return Denial(refusal.code, refusal.detail, allowed=refusal.allowed)
    unfit = _unfit_name(action, request)
    if unfit:
        return Denial(Code.ARGUMENTS_INVALID, unfit, allowed=f"the arguments of {action.name}")
    current = context.current_role
    return Case(
        request=request,
        context=context,
        pinned=context.pinned_role.spec.rules,
        current=current.spec.rules if current else (),
        action=action,
        effect=reach.effect_of(action, connector),
        resource=resource,
        connector=connector,
    )


def _is_heard_of(connector: Connector, context: Context) -> bool:
    """Whether a rule or the ceiling speaks of both; other people's Connectors do not exist here."""
    roles = [role for role in (context.pinned_role, context.current_role) if role is not None]
    named = any(rule.connector == connector.metadata.name for role in roles for rule in role.spec.rules)
    return named or bool(reach.tenants_of(connector, context.namespace_labels))


def _unfit_name(action: ActionType, request: ActionRequest) -> str | None:
    """What is wrong with an argument that names the resource: globs are for canonical, bounded values."""
    properties: Any = action.arguments["properties"]
    found = (
        schemacheck.fault(properties[name], request.args[name], f"arguments.{name}")
        for name in sorted(arguments_of(action))
    )
    return next(filter(None, found), None)


def catalogue_pinned(case: Case) -> Case | Denial:
    """The vocabulary that judges is the one that the Connector pins."""
    if case.connector.spec.catalogue_hash == case.context.catalogue_hash:
        return case
    return Denial(
        Code.UNAVAILABLE,
        f"Connector {case.connector.metadata.name} pins another catalogue than the broker has",
        ask="the platform team to pin the catalogue of the release",
    )


def below_ceiling(case: Case) -> Case | Denial:
    """The Connector's owner allows this to the namespace."""
    named = reach.tenants_of(case.connector, case.context.namespace_labels)
    admitting = tuple(
        tenant
        for tenant in named
        if case.effect in tenant.effects and reach.within(tenant.resources, case.resource)
    )
    if admitting:
        return replace(case, tenants=admitting)
    allowed = [f"{', '.join(tenant.effects)} on {reach.in_words(tenant.resources)}" for tenant in named]
    return _above(case, f"{case.effect} on this resource is above the ceiling", " or ".join(allowed))


def not_forbidden_to_tenant(case: Case) -> Case | Denial:
    """What an entry forbids stays forbidden, whatever another entry allows."""
    for tenant in reach.tenants_of(case.connector, case.context.namespace_labels):
        place = reach.forbidden(tenant.forbid, case.resource)
        if place:
            return _above(case, f"the ceiling forbids it: {place}", "resources outside of that")
    return case


def _above(case: Case, detail: str, allowed: str) -> Denial:
    name = case.connector.metadata.name
    return Denial(
        Code.ABOVE_CEILING,
        f"Connector {name}: {detail}",
        allowed=allowed or "nothing for this namespace",
        ask=f"the owner of Connector {name} to raise the ceiling",
    )


def rule_names_action(case: Case) -> Case | Denial:
    """What no rule names does not exist."""

    def named(rule: Rule) -> Objection | None:
        if rule.connector == case.request.connector and reach.names(rule, case.action, case.effect):
            return None
        return Objection(f"no rule names {case.request.connector}/{case.request.action}", _LISTED)

    return _narrow(case, named, Code.NO_RULE, about_rule=False)


def rule_reaches_resource(case: Case) -> Case | Denial:
    """A rule reaches the resources it names, and only through attributes that the action can hold."""

    def reached(rule: Rule) -> Objection | None:
        unheld = set(rule.resources) - case.action.enforces
        if unheld:
            return _unheld(case, unheld)
        if reach.within(rule.resources, case.resource):
            return None
        return Objection("the rule does not reach this resource", reach.in_words(rule.resources))

    return _narrow(case, reached, Code.NO_RULE)


def role_does_not_forbid(case: Case) -> Case | Denial:
    """What the role forbids beats every rule."""
    for role in case.roles:
        place = reach.forbidden(role.spec.forbid, case.resource)
        if place:
            return Denial(
                Code.NO_RULE,
                f"role {role.metadata.name} forbids it: {place}",
                rule="forbid",
                allowed="resources outside of that",
                ask="a person to do this",
            )
    return case


def inside_scope(case: Case) -> Case | Denial:
    """The task's author narrowed what the role allows."""
    place = reach.outside(case.context.task.spec.scope, case.resource)
    if place is None:
        return case
    return Denial(
        Code.OUT_OF_SCOPE,
        f"the task's scope leaves this out: {place}",
        allowed="what spec.scope of the task names",
        ask="a task with another scope",
    )


def in_stage(case: Case) -> Case | Denial:
    """Only the rules of the current stage exist."""
    stage = stages.current(case.context)
    if stage is None:
        return case

    def listed(rule: Rule) -> Objection | None:
        if rule.name in stage.rules:
            return None
        return Objection(f"the rule is not in stage {stage.name}", f"rules {', '.join(stage.rules)}")

    return _narrow(case, listed, Code.WRONG_STAGE)


def arguments_fit_action(case: Case) -> Case | Denial:
    """The arguments are the action's own, each within its bounds."""
    found = schemacheck.fault(case.action.arguments, case.request.args)
    if case.request.attachments:
        found = f"{case.action.name} takes no attachments"
    if found is None:
        return case
    return Denial(Code.ARGUMENTS_INVALID, found, allowed=f"the arguments of {case.action.name}")


def arguments_fit_rule(case: Case) -> Case | Denial:
    """A rule may narrow the arguments further."""

    def fitting(rule: Rule) -> Objection | None:
        found = schemas.violation(rule.arguments, case.request.args)
        return Objection(found, "arguments within the rule's schema") if found else None

    return _narrow(case, fitting, Code.ARGUMENTS_INVALID)


def limits_can_be_held(case: Case) -> Case | Denial:
    """A limit on a size needs an action that can measure it."""

    def held(rule: Rule) -> Objection | None:
        unheld = set(guards.caveats(rule)) - case.action.enforces
        return _unheld(case, unheld) if unheld else None

    return _narrow(case, held, Code.LIMIT_EXCEEDED)


def condition_holds(case: Case) -> Case | Denial:
    """A condition permits when it is true, and not when it fails."""
    return hold_conditions(case, [rule for rule in (*case.pinned, *case.current) if not reads_people(rule)])


def hold_conditions(case: Case, about: Sequence[Rule]) -> Case | Denial:
    """The case with the rules whose conditions are true; looked at are those of `about`."""
    known = case.variables

    def holds(rule: Rule) -> Objection | None:
        if rule not in about or rule.when is None or verdict(case, rule.when, known).holds:
            return None
        return Objection("the rule's condition is not true", f"when {rule.when}")

    found = _narrow(case, holds, Code.CONDITION_FALSE)
    return found if isinstance(found, Case) else _unreadable(case, found)


def missing(case: Case) -> list[Question]:
    """What conditions of the candidates ask upstream and nobody has answered.

    Nobody is asked to approve before: what is said of the people has no value yet, and hides no question.
    """
    known = case.variables
    if case.grant is None:
        del known["approvals"]
    conditions = dict.fromkeys(rule.when for rule in (*case.pinned, *case.current) if rule.when is not None)
    found = [item for when in conditions for item in verdict(case, when, known).missing]
    return [item for item in found if item.fact in evaluate.UPSTREAM]


def reads_people(rule: Rule) -> bool:
    """Whether the condition speaks of the people who approve: then it is asked once they have."""
    return rule.when is not None and evaluate.reads(rule.when, "approvals")


def verdict(case: Case, when: str, known: Mapping[str, Any]) -> Verdict:
    """What a condition of one of the case's rules comes to."""
    return evaluate.judge(when, known, facts.answers(case.context.facts, case.resource))


def _unreadable(case: Case, denial: Denial) -> Denial:
    """A condition that is not true because nobody could be asked may be true in a moment."""
    readings = case.context.facts.upstream.values()
    silent = next((item.value for item in readings if isinstance(item.value, Unreachable)), None)
    if silent is None:
        return denial
    return Denial(
        Code.UNAVAILABLE,
        f"a fact that the rule's condition asks for could not be read: {silent.why}",
        rule=denial.rule,
        allowed=denial.allowed,
        ask="try again",
    )


def limits_reserved(case: Case) -> Case | Denial:
    """Counted bounds become room that the ledger takes before the permit is worth anything."""
    request, task = case.request, case.context.task
    load = limits.Load(case.action, case.effect, request.args, request.attachments)
    rules = [*case.pinned[:1], *case.current[:1]]
    requester = task.spec.requested_by or ""
    found = [
        *(item for rule in rules for item in limits.of_rule(task, rule)),
        *(item for role in case.roles for item in limits.of_role(role, requester, load)),
        *limits.of_connector(case.connector, case.tenants, task.metadata.namespace, load),
        *limits.of_task(task, load),
        *(limits.of_grant(grant.uid, grant.max_uses) for grant in (case.grant,) if grant is not None),
    ]
    return replace(case, reservations=limits.strictest(found))


def _unheld(case: Case, attributes: set[str]) -> Objection:
    held = ", ".join(sorted(case.action.enforces)) or "nothing"
    return Objection(f"{case.action.name} cannot hold {', '.join(sorted(attributes))}", f"rules over {held}")


def _narrow(
    case: Case, objection: Callable[[Rule], Objection | None], code: Code, *, about_rule: bool = True
) -> Case | Denial:
    pinned = tuple(rule for rule in case.pinned if objection(rule) is None)
    current = tuple(rule for rule in case.current if objection(rule) is None)
    if pinned and current:
        same = len(pinned) == len(case.pinned) and len(current) == len(case.current)
        return case if same else replace(case, pinned=pinned, current=current)
    left = case.current if pinned else case.pinned
    why = (objection(left[0]) if left else None) or Objection("the role has no rules, or is gone", _LISTED)
    return Denial(
        code,
        why.detail,
        rule=left[0].name if left and about_rule else None,
        allowed=why.allowed,
        ask="the role's author",
    )


_LISTED: Final = "what GET /v1/actions lists"
