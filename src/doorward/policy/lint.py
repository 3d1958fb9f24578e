"""What could never be held is found when it is applied, not when somebody relies on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Rule
from doorward.core import glob
from doorward.core.action import ActionType
from doorward.core.effect import Effect
from doorward.policy import evaluate, guards, reach, schemas
from doorward.policy.provenance import Own

_UNCOUNTED: Final = "counts it: leave it out"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps an object from being accepted."""

    at: str
    """Where, e.g. `rules[comment].resources`."""
    message: str
    """What is wrong and how to put it right."""

    def __str__(self) -> str:
        return f"{self.at}: {self.message}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A Connector with the actions of its type."""

    connector: Connector
    actions: Mapping[str, ActionType]


def lint_role(role: AgentRole, catalogues: Mapping[str, Vocabulary]) -> tuple[Problem, ...]:
    """Everything that keeps the role from being held. `catalogues` is keyed by the Connector's name."""
    return tuple(_role(role, catalogues))


def lint_task(task: AgentTask, role: AgentRole, catalogues: Mapping[str, Vocabulary]) -> tuple[Problem, ...]:
    """Everything that keeps the task from running in the role. `catalogues` as for `lint_role`."""
    return (*_agent(task, role), *_stages(task, role), *_budgets(task, role, catalogues))


def _budgets(task: AgentTask, role: AgentRole, catalogues: Mapping[str, Vocabulary]) -> Iterator[Problem]:
    """A budget that nobody holds is refused: its author would rely on it."""
    wanted = [unit for unit in ("tokens", "spend") if getattr(task.spec.budgets, unit) is not None]
    counted = {unit for action in _named(role, catalogues) for unit in action.uses} if wanted else set()
    for unit in wanted:
        if unit not in counted:
            yield Problem(f"budgets.{unit}", f"no connector of role {role.metadata.name} {_UNCOUNTED}")


def lint_connector(connector: Connector, catalogue_hash: str) -> tuple[Problem, ...]:
    """Everything that keeps the Connector from being used; the hash is that of its type's catalogue."""
    if connector.spec.catalogue_hash == catalogue_hash:
        return ()
    return (Problem("catalogueHash", f"this release has {catalogue_hash}: review what changed and pin it"),)


def _role(role: AgentRole, catalogues: Mapping[str, Vocabulary]) -> Iterator[Problem]:
    if not role.spec.agent.images:
        yield Problem("agent.images", "no image is accepted, so no task can run: name images")
    own = guards.own(role)
    for rule in role.spec.rules:
        yield from _rule(rule, catalogues, own)
    yield from _ceilings(role, _named(role, catalogues))


def _ceilings(role: AgentRole, actions: tuple[ActionType, ...]) -> Iterator[Problem]:
    """A ceiling that nobody holds is refused as well."""
    made = {action.makes for action in actions}
    for kind in sorted(set(role.spec.ceilings.open) - made):
        yield Problem(f"ceilings.open.{kind}", "no action of the rules makes one: leave it out")
    counted = {unit for action in actions for unit in action.uses}
    for at, bounds in (("", role.spec.ceilings), ("perRequester.", role.spec.ceilings.per_requester)):
        for unit, limit in (("tokens", bounds.tokens_per_day), ("spend", bounds.spend_per_day)):
            if limit is not None and unit not in counted:
                yield Problem(f"ceilings.{at}{unit}PerDay", f"no action of the rules {_UNCOUNTED}")


def _named(role: AgentRole, catalogues: Mapping[str, Vocabulary]) -> tuple[ActionType, ...]:
    """The actions that the rules name."""
    return tuple(
        action
        for rule in role.spec.rules
        if (known := catalogues.get(rule.connector))
        for action in known.actions.values()
        if reach.names(rule, action, reach.effect_of(action, known.connector))
    )


def _rule(rule: Rule, catalogues: Mapping[str, Vocabulary], own: Own) -> Iterator[Problem]:
    at = f"rules[{rule.name}]"
    vocabulary = catalogues.get(rule.connector)
    if vocabulary is None:
        yield Problem(
            f"{at}.connector", f"there is no Connector {rule.connector}: apply it or correct the name"
        )
    else:
        yield from _actions(at, rule, vocabulary, own)
    broken = schemas.fault(rule.arguments)
    if broken:
        yield Problem(f"{at}.arguments", broken)
    wrong = evaluate.fault(rule.when) if rule.when is not None else None
    if wrong:
        yield Problem(f"{at}.when", wrong)


def _actions(at: str, rule: Rule, vocabulary: Vocabulary, own: Own) -> Iterator[Problem]:
    for name in sorted(set(rule.actions) - {"*"} - set(vocabulary.actions)):
        known = ", ".join(vocabulary.actions)
        yield Problem(f"{at}.actions", f"Connector {rule.connector} has no action {name}; it has {known}")
    named = [vocabulary.actions[name] for name in rule.actions if name in vocabulary.actions]
    for action in named:
        yield from _action(at, rule, action)
        yield from _guard(at, rule, action, reach.effect_of(action, vocabulary.connector), own)
    if "*" in rule.actions and not _reached(rule, vocabulary):
        yield Problem(
            f"{at}.actions",
            "`*` reaches nothing here: it stands for read and draft actions that hold `resources`",
        )


def _reached(rule: Rule, vocabulary: Vocabulary) -> bool:
    return any(
        reach.names(rule, action, reach.effect_of(action, vocabulary.connector))
        for action in vocabulary.actions.values()
    )


def _action(at: str, rule: Rule, action: ActionType) -> Iterator[Problem]:
    held = ", ".join(sorted(action.enforces)) or "nothing"
    for attribute in sorted(set(rule.resources) - action.enforces):
        yield Problem(
            f"{at}.resources.{attribute}",
            f"{action.name} cannot hold {attribute}, it holds {held}: leave one of the two out of the rule",
        )
    for attribute in sorted(set(guards.caveats(rule)) - action.enforces):
        yield Problem(
            f"{at}.limits.{attribute}", f"{action.name} cannot measure it: leave one of the two out"
        )


def _guard(at: str, rule: Rule, action: ActionType, effect: Effect, own: Own) -> Iterator[Problem]:
    if guards.needs_approval(effect) and rule.approval is None:
        yield Problem(
            f"{at}.approval", f"{action.name} is {effect}, which always needs people: add an approval"
        )
    elif guards.needs_guard(effect) and (why := guards.unguarded(rule, own)):
        yield Problem(
            at,
            f"{action.name} is {effect}: add an approval, or a condition over facts that no agent can make;"
            f" {why}",
        )


def _agent(task: AgentTask, role: AgentRole) -> Iterator[Problem]:
    shape, agent = role.spec.agent, task.spec.agent
    if not glob.matches_any(shape.images, agent.image):
        allowed = ", ".join(shape.images) or "none"
        yield Problem("agent.image", f"role {role.metadata.name} accepts {allowed}: use one of those")
    if agent.runtime_class_name not in {None, shape.runtime_class_name}:
        yield Problem(
            "agent.runtimeClassName",
            f"role {role.metadata.name} has {shape.runtime_class_name or 'none'}: leave it out",
        )


def _stages(task: AgentTask, role: AgentRole) -> Iterator[Problem]:
    rules = {rule.name for rule in role.spec.rules}
    for index, stage in enumerate(task.spec.stages):
        at = f"stages[{stage.name}]"
        missing = sorted(set(stage.rules) - rules)
        if missing:
            yield Problem(f"{at}.rules", f"role {role.metadata.name} has no rule {', '.join(missing)}")
        if index == 0 and stage.when is not None:
            yield Problem(f"{at}.when", "the first stage is open at once: leave its condition out")
        if index > 0 and stage.when is None:
            yield Problem(f"{at}.when", "nothing would open this stage: add a condition over outcomes")
        wrong = evaluate.fault(stage.when, stage=True) if stage.when is not None else None
        if wrong:
            yield Problem(f"{at}.when", wrong)
