"""People in the chain: who must agree, to what, and whether they have.

What lets an action pass here is one Grant for exactly its digest, made under exactly the policy that is
in force, agreed to by enough people, with a use left. Everything else is a no with its own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from doorward.api.v1alpha1 import ApprovalPolicy, Rule, Tenant
from doorward.core import digest, duration
from doorward.core.action import Action
from doorward.core.decision import Demand, Denial
from doorward.core.effect import Effect
from doorward.errors import Code
from doorward.policy import checks, guards, shortage
from doorward.policy.checks import Case
from doorward.policy.context import Context, GrantFact

_LIVE: Final = frozenset({"active", "pending"})


def people_agree(case: Case) -> Case | Denial:
    """Where people must agree, they have agreed to exactly this action."""
    pinned, current = _free(case, case.pinned), _free(case, case.current)
    free = replace(case, pinned=pinned or case.pinned, current=current or case.current)
    why = asked_beyond_rules(case.context, case.tenants, case.effect)
    if why is None and pinned and current:
        return free
    demand = _demand(free)
    first = (free.current if pinned else free.pinned)[0]
    why = why or guards.demand(first, case.effect, case.resource, case.own) or ""
    denials = []
    for grant in _grants(free, demand):
        denial = _standing(grant, demand, case.context)
        if denial is None:
            return replace(free, grant=grant)
        denials.append(denial)
    return denials[0] if denials else _nobody_asked(why, demand)


def people_suffice(case: Case) -> Case | Denial:
    """What a condition says of the people who approved is true of them."""
    about = [rule for rule in (*case.pinned, *case.current) if checks.reads_people(rule)]
    if not about:
        return case
    if case.grant is not None:  # they agreed under the first rule of both readings, and under no other
        case = replace(case, pinned=case.pinned[:1], current=case.current[:1])
    return checks.hold_conditions(case, about)


def asked_beyond_rules(context: Context, tenants: Iterable[Tenant], effect: Effect) -> str | None:
    """Why people must agree whatever the rules say, or None: a ceiling's word, or the task's behaviour."""
    if any(tenant.approval is not None for tenant in tenants):
        return f"Connector {context.connector.metadata.name if context.connector else ''} demands it"
    if context.cautious and effect.rank >= Effect.DRAFT.rank:
        return "the task has drawn attention, and acts only with people for a while"
    return None


def terms(rules: Sequence[Rule], tenants: Iterable[Tenant]) -> tuple[int, int]:
    """How many people, and for how many seconds they may be asked: the strictest of all who demand it."""
    demanded = (*(rule.approval for rule in rules), *(tenant.approval for tenant in tenants))
    policies = [policy for policy in demanded if policy is not None] or [ApprovalPolicy()]
    return max(item.quorum for item in policies), min(duration.seconds(item.expires) for item in policies)


def _free(case: Case, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if guards.demand(rule, case.effect, case.resource, case.own) is None)


def _demand(case: Case) -> Demand:
    rules = (case.pinned[0], case.current[0])
    quorum, expires = terms(rules, case.tenants)
    return Demand(rule=case.current[0].name, quorum=quorum, expires=expires)


def _grants(case: Case, demand: Demand) -> list[GrantFact]:
    """The Grants for this action: those that may still come to something before those that are over."""
    if not case.context.grants:
        return []
    request = case.request
    action = Action(request.connector, request.action, case.resource, request.args, request.attachments)
    wanted = (digest.of(action), demand.rule)
    found = [grant for grant in case.context.grants if (grant.digest, grant.rule) == wanted]
    return sorted(found, key=lambda grant: grant.state not in _LIVE)


def _nobody_asked(why: str, demand: Demand) -> Denial:
    return Denial(
        Code.APPROVAL_REQUIRED,
        f"people must approve this: {why}",
        rule=demand.rule,
        allowed=f"the action once {demand.quorum} of the role's approvers agree to exactly these arguments",
        ask="a person with the verb approve on the role",
        demand=demand,
    )


def _standing(grant: GrantFact, demand: Demand, context: Context) -> Denial | None:
    """Why this Grant permits nothing, or None: it is active, for this policy, and has a use left."""
    if grant.state not in _LIVE:
        return _OVER[grant.state](grant)
    if grant.policy_hash != context.policy_hash:
        return _stale(grant)
    if context.now >= grant.expires_at:
        return _expired(grant)
    if grant.state == "pending" or len(set(grant.approvers)) < max(demand.quorum, grant.quorum):
        return _pending(grant, demand)
    if grant.uses >= grant.max_uses:
        return _exhausted(grant)
    return None


def _pending(grant: GrantFact, demand: Demand) -> Denial:
    wanted = max(demand.quorum, grant.quorum)
    return Denial(
        Code.APPROVAL_PENDING,
        f"{len(set(grant.approvers))} of {wanted} people have approved",
        rule=grant.rule,
        allowed="the action once enough people agree to exactly these arguments",
        ask="wait for the people who were asked",
        grant=grant.uid,
    )


def _denied(grant: GrantFact) -> Denial:
    return Denial(
        Code.APPROVAL_DENIED,
        "a person said no to exactly this",
        rule=grant.rule,
        allowed="another action",
        ask="whoever denied it; deleting the Grant lets the action be asked for again",
        grant=grant.uid,
    )


def _expired(grant: GrantFact) -> Denial:
    return Denial(
        Code.GRANT_EXPIRED,
        "the people who were asked did not answer in time, or the approval was not used in time",
        rule=grant.rule,
        allowed="another action",
        ask="an approver to delete the Grant; then the action can be asked for again",
        grant=grant.uid,
    )


def _stale(grant: GrantFact) -> Denial:
    return Denial(
        Code.GRANT_STALE,
        "task, role, Connector or namespace changed after people were asked",
        rule=grant.rule,
        allowed="what was asked for, under the policy it was asked under",
        ask="an approver to delete the Grant; then the action can be asked for again",
        grant=grant.uid,
    )


def _revoked(grant: GrantFact) -> Denial:
    return Denial(
        Code.REVOKED, "the Grant was taken back", rule=grant.rule, ask="whoever revoked it", grant=grant.uid
    )


def _exhausted(grant: GrantFact) -> Denial:
    return replace(shortage.used_up(grant.max_uses), rule=grant.rule, grant=grant.uid)


_OVER: Final = {
    "denied": _denied,
    "expired": _expired,
    "stale": _stale,
    "revoked": _revoked,
    "exhausted": _exhausted,
}
