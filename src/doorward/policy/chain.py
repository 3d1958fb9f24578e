"""The chain, in the order in which a denial should speak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from doorward.api.v1alpha1 import Rule
from doorward.core.action import Action
from doorward.core.decision import Denial, Permit
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.core.strictjson import Json
from doorward.errors import Code
from doorward.policy import approvals, checks, guards, limits
from doorward.policy.checks import Case, Check, Gate
from doorward.policy.context import ActionRequest, Context
from doorward.policy.evaluate import Question

GATES: Final[tuple[Gate, ...]] = (
    checks.task_lives,
    checks.task_not_frozen,
    checks.not_revoked,
)
CHAIN: Final[tuple[Check, ...]] = (
    checks.catalogue_pinned,
    checks.below_ceiling,
    checks.not_forbidden_to_tenant,
    checks.rule_names_action,
    checks.role_does_not_forbid,
    checks.rule_reaches_resource,
    checks.inside_scope,
    checks.in_stage,
    checks.arguments_fit_action,
    checks.arguments_fit_rule,
    checks.limits_can_be_held,
    checks.condition_holds,
    approvals.people_agree,
    approvals.people_suffice,
    checks.limits_reserved,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One check and what it said."""

    check: str
    question: str
    """The check in words."""
    denial: Denial | None = None
    reached: bool = True
    """False for the checks after a no."""


def decide(request: ActionRequest, context: Context) -> Permit | Denial:
    """The answer to one action. Pure: the same values give the same answer.

    A Permit counts once the ledger has taken its reservations; `over_limit` words the no if it cannot.
    Of several rules that permit, the first one is used. What a task was started by must be permitted
    the same action: a child's authority is part of its parent's, whatever its own role says.
    """
    found = _run(GATES, CHAIN, request, context)
    if context.parent is None or _hopeless(found):
        return found
    return _within(found, decide(request, context.parent))


def reaches_parent(request: ActionRequest, context: Context) -> bool:
    """Whether the answer is still the parent's to give: the task alone may do it, or people could agree."""
    return context.parent is not None and not _hopeless(_run(GATES, CHAIN, request, context))


def explain(request: ActionRequest, context: Context) -> tuple[Step, ...]:
    """Each step of the same chain with its verdict; those after a no are marked as not reached."""
    own = tuple(_steps(request, context))
    return own if context.parent is None else (*own, _above(own, request, context.parent))


def _above(own: Sequence[Step], request: ActionRequest, parent: Context) -> Step:
    question = "The task that started this one may do it too."
    if any(_hopeless(step.denial) for step in own):
        return Step("within", question, reached=False)
    found = decide(request, parent)
    return Step("within", question, _of_parent(found) if isinstance(found, Denial) else None)


def _hopeless(found: Permit | Denial | None) -> bool:
    """Whether nobody's agreement could make it a yes, so that the task above need not be asked."""
    return isinstance(found, Denial) and found.demand is None


def _within(found: Permit | Denial, above: Permit | Denial) -> Permit | Denial:
    """The child's answer, bounded by its parent's: nobody is asked about what the parent may not do."""
    if isinstance(above, Denial):
        return _of_parent(above)
    if isinstance(found, Denial):
        return found
    return replace(
        found,
        reservations=limits.strictest((*found.reservations, *above.reservations)),
        caveats=_caveats([found.caveats, above.caveats]),
        seal=SEAL,
    )


def _of_parent(denial: Denial) -> Denial:
    """A Grant is for one task: what people must agree to, the task above asks them for itself."""
    said = replace(
        denial, detail=f"the task that started this one may not do it: {denial.detail}", demand=None
    )
    if said.code not in _PEOPLE:
        return said
    return replace(said, code=Code.NO_RULE, ask="the task above, to do it itself")


_PEOPLE: Final = frozenset(
    {
        Code.APPROVAL_REQUIRED,
        Code.APPROVAL_PENDING,
        Code.APPROVAL_DENIED,
        Code.GRANT_EXPIRED,
        Code.GRANT_STALE,
    }
)


def questions(request: ActionRequest, context: Context) -> tuple[Question, ...]:
    """What conditions ask upstream and has no answer yet; empty once the decision rests on nothing more.

    Only conditions that the request reaches ask: what is denied before costs nobody a look.
    """
    if any(gate(context) for gate in GATES):
        return ()
    found = checks.action_known(request, context)
    for check in CHAIN:
        if isinstance(found, Denial):
            return ()
        if check is checks.condition_holds:
            break
        found = check(found)
    asked = dict.fromkeys(checks.missing(found)) if not isinstance(found, Denial) else {}
    return tuple(question for question in asked if question not in context.facts.upstream)


def _run(
    gates: Sequence[Gate], chain: Sequence[Check], request: ActionRequest, context: Context
) -> Permit | Denial:
    for gate in gates:
        closed = gate(context)
        if closed:
            return closed
    found = checks.action_known(request, context)
    for check in chain:
        if isinstance(found, Denial):
            return found
        found = check(found)
    return found if isinstance(found, Denial) else _permit(found)


def _steps(request: ActionRequest, context: Context) -> Iterator[Step]:
    found: Case | Denial | None = None
    for step in (*GATES, checks.action_known, *CHAIN):
        if isinstance(found, Denial):
            yield Step(step.__name__, _question(step), reached=False)
            continue
        found = _take(step, found, request, context)
        yield Step(step.__name__, _question(step), found if isinstance(found, Denial) else None)


def _take(step: Any, found: Case | None, request: ActionRequest, context: Context) -> Case | Denial | None:
    arguments = (request, context) if step is checks.action_known else (found or context,)
    answer: Case | Denial | None = step(*arguments)
    return answer


def _question(check: object) -> str:
    return (check.__doc__ or "").partition("\n")[0]


def _facts(case: Case, rules: Sequence[Rule]) -> dict[str, Json]:
    """What the conditions of these rules read upstream, where it has to read the same at the connector."""
    if case.effect.rank < Effect.MERGE.rank:
        return {}
    known, upstream = case.variables, case.context.facts.upstream
    conditions = [rule.when for rule in rules if rule.when is not None]
    asked = {question: None for when in conditions for question in checks.verdict(case, when, known).asked}
    found: list[Json] = [
        {"action": reading.action, "args": dict(reading.args), "digest": reading.digest}
        for question in asked
        if (reading := upstream.get(question)) is not None and reading.digest
    ]
    return {"facts": found} if found else {}


def _permit(case: Case) -> Permit:
    rules = (case.pinned[0], case.current[0])
    return Permit(
        action=Action(
            connector=case.request.connector,
            name=case.request.action,
            resource=case.resource,
            args=case.request.args,
            attachments=case.request.attachments,
        ),
        effect=case.effect,
        principal=case.context.principal,
        rule=case.current[0].name,
        policy_hash=case.context.policy_hash,
        audience=case.connector.spec.audience,
        reservations=case.reservations,
        caveats=_caveats([*(guards.caveats(rule) for rule in rules), _facts(case, rules)]),
        grant=case.grant.uid if case.grant else None,
        approvers=case.grant.approvers if case.grant else (),
        seal=SEAL,
    )


def _caveats(found: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """What all of these demand: of each size the smallest, of the facts each."""
    names = {name for caveats in found for name in caveats}
    return {name: _all_of([caveats[name] for caveats in found if name in caveats]) for name in sorted(names)}


def _all_of(values: Sequence[Any]) -> Json:
    if not isinstance(values[0], list):
        smallest: Json = min(values)
        return smallest
    items: list[Json] = [item for value in values for item in value]
    return [item for number, item in enumerate(items) if item not in items[:number]]
