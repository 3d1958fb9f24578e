"""What conditions see: who made it, about which resource, and when. Gathered by the caller, never fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from doorward.core.action import Resource
from doorward.core.effect import Effect
from doorward.core.strictjson import Json
from doorward.policy.evaluate import UPSTREAM, Answer, Question, UnansweredError, moment, reads, roles_read

if TYPE_CHECKING:
    from doorward.policy.context import Context

MAX_UPSTREAM: Final = 3
"""Facts that one decision may read upstream."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One action that has ended, as the ledger knows it."""

    rule: str
    connector: str
    action: str
    status: str
    """`succeeded`, `failed` or `unknown`."""
    resource: Resource = field(default_factory=dict)
    role: str = ""
    """Role of the task that did it."""
    task: str = ""
    """Its name."""
    at: float = 0.0
    """When it was spent, in seconds since the epoch."""

    def value(self) -> dict[str, Any]:
        """The members that conditions see."""
        return {
            "rule": self.rule,
            "connector": self.connector,
            "action": self.action,
            "status": self.status,
            "resource": dict(self.resource),
            "role": self.role,
            "task": self.task,
            "at": int(self.at),
        }


@dataclass(frozen=True, slots=True)
class Reference:
    """Something upstream that an action of the task made, or that its answer showed."""

    kind: str
    """E.g. `issue`."""
    id: str
    connector: str
    action: str
    resource: Resource = field(default_factory=dict)
    """Of the action: the same number is another issue in another repository."""
    at: float = 0.0

    def value(self) -> dict[str, Any]:
        """The members that conditions see."""
        return {
            "kind": self.kind,
            "id": self.id,
            "connector": self.connector,
            "action": self.action,
            "resource": dict(self.resource),
            "at": int(self.at),
        }


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The upstream could not be asked."""

    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A fact as it was read upstream, right before the decision."""

    value: Json | Unreachable
    """None where the answer did not say it all."""
    action: str = ""
    """The read action that showed it."""
    args: Mapping[str, Json] = field(default_factory=dict)
    digest: str = ""
    """Over the value: the connector compares it before an action that cannot be undone."""

    def says(self, fact: str) -> bool:
        """Whether there is something in it: a commit without a single check is not green in all of them."""
        if isinstance(self.value, Unreachable) or self.value is None:
            return False
        return fact != "facts.checks" or self.value != []


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the objects of the cluster. Nothing of it comes from another namespace."""

    outcomes: tuple[Outcome, ...] = ()
    """What the task's own actions came to, oldest first."""
    others: Mapping[str, tuple[Outcome, ...]] = field(default_factory=dict)
    """Role -> what actions of its tasks in the namespace came to, of late."""
    references: tuple[Reference, ...] = ()
    """What the task's own succeeded actions made or showed."""
    spent: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(rule, effect) -> the task's actions that were carried out."""
    upstream: Mapping[Question, Reading] = field(default_factory=dict)
    """What was read for this one decision."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What conditions could ask for; the rest need not be gathered."""

    outcomes: bool
    """The task's own outcomes, or the references in them."""
    usage: bool
    roles: frozenset[str]
    """Other roles, whose outcomes are asked for."""
    upstream: bool


def wanted(context: Context) -> Wanted:
    """What the conditions of the task's stages and of both readings of its role mention."""
    roles = (context.pinned_role, context.current_role)
    of_rules = [rule.when for role in roles if role is not None for rule in role.spec.rules]
    of_stages = [stage.when for stage in context.task.spec.stages]
    conditions = {when for when in (*of_rules, *of_stages) if when is not None}
    return Wanted(
        outcomes=any(reads(condition, "outcomes", "references") for condition in conditions),
        usage=any(reads(condition, "usage") for condition in conditions),
        roles=frozenset(role for condition in conditions for role in roles_read(condition)),
        upstream=any(reads(condition, *UPSTREAM) for condition in conditions),
    )


def variables(context: Context) -> dict[str, Any]:
    """What conditions see without an action."""
    task, facts = context.task, context.facts
    return {
        "action": "",
        "args": {},
        "resource": {},
        "outcomes": [outcome.value() for outcome in facts.outcomes],
        "references": [reference.value() for reference in facts.references],
        "usage": _usage(context),
        "approvals": [],
        "now": moment(context.now),
        "task": {
            "name": task.metadata.name,
            "namespace": task.metadata.namespace,
            "role": task.spec.role,
            "requestedBy": task.spec.requested_by or "",
            "input": dict(task.spec.input),
        },
    }


def answers(facts: Facts, resource: Resource | None) -> Answer:
    """Who answers the functions of conditions about this resource; None for a stage, which has none."""

    def answer(question: Question) -> Any:
        if question.fact == "outcomesOf":
            found = facts.others.get(str(question.about))
            if found is None:
                raise UnansweredError(question.about)
            return [item.value() for item in found if resource is None or is_about(item.resource, resource)]
        reading = facts.upstream.get(question)
        if reading is None or not reading.says(question.fact):
            raise UnansweredError(question.about)
        return reading.value

    return answer


def is_about(done: Resource, resource: Resource) -> bool:
    """Whether what was done to `done` speaks of `resource`: none of its attributes is another there."""
    return bool(done) and all(resource.get(name) == value for name, value in done.items())


def _usage(context: Context) -> dict[str, dict[str, int]]:
    roles = (context.pinned_role, context.current_role)
    rules = {rule.name: 0 for role in roles if role is not None for rule in role.spec.rules}
    effects = {effect.value: 0 for effect in Effect}
    for (rule, effect), count in context.facts.spent.items():
        rules[rule] = rules.get(rule, 0) + count
        effects[effect] = effects.get(effect, 0) + count
    return {"rules": rules, "effects": effects}
