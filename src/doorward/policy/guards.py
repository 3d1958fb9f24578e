"""What an effect demands beyond a rule, and what a rule passes on to the connector."""

from __future__ import annotations

from typing import Final

from doorward.api.v1alpha1 import AgentRole, Rule
from doorward.core import glob
from doorward.core.action import Resource
from doorward.core.effect import Effect
from doorward.policy import evaluate
from doorward.policy.provenance import Own

_PRODUCTION: Final = ("**prod**", "live", "**/live")
"""Environments that count as production; so does one that the action does not name."""
_ALWAYS: Final = frozenset({Effect.ROLLBACK, Effect.DESTROY, Effect.ADMIN})
_GUARDED: Final = frozenset({Effect.MERGE, Effect.DEPLOY})
_MADE_BY: Final = {
    "facts.reviews": frozenset({"pull.review", "*"}),
    "facts.checks": frozenset({"check.write"}),
}
"""Fact of the upstream -> actions that make it. `*` may come to mean a review in a later catalogue."""


def demand(rule: Rule, effect: Effect, resource: Resource, own: Own) -> str | None:
    """Why people must approve an action under this rule, or None."""
    if rule.approval is not None:
        return f"rule {rule.name} demands it"
    if needs_approval(effect):
        return f"{effect} always needs an approval"
    if effect is Effect.DEPLOY and _is_production(resource):
        return "a deployment to production always needs an approval"
    if needs_guard(effect) and not is_guarded(rule, own):
        return f"{effect} needs an approval, or a condition over facts that no agent can make"
    return None


def needs_approval(effect: Effect) -> bool:
    """Whether people must agree to every action of this effect."""
    return effect in _ALWAYS


def needs_guard(effect: Effect) -> bool:
    """Whether a rule's own words are not enough for this effect."""
    return effect in _GUARDED


def is_guarded(rule: Rule, own: Own) -> bool:
    """Whether the rule has a guard besides its own words: people, or facts that its agents cannot make."""
    return unguarded(rule, own) is None


def unguarded(rule: Rule, own: Own) -> str | None:
    """Why the rule has no guard besides its own words, or None."""
    if rule.approval is not None:
        return None
    return evaluate.guard_fault(rule.when, own) if rule.when is not None else "it has no condition"


def own(role: AgentRole) -> Own:
    """What agents of the role can make by all of its rules together.

    For the role as it is accepted. A decision looks at the name alone: a rule more may take no permit away.
    """
    named = {action for rule in role.spec.rules for action in rule.actions}
    return Own(role.metadata.name, frozenset(fact for fact, by in _MADE_BY.items() if named & by))


def caveats(rule: Rule) -> dict[str, int]:
    """Sizes that the connector measures again right before the call, by attribute."""
    sizes = {"diffLines": rule.limits.diff_lines, "files": rule.limits.files}
    return {name: size for name, size in sizes.items() if size is not None}


def _is_production(resource: Resource) -> bool:
    environment = resource.get("environment")
    return environment is None or glob.forbids(_PRODUCTION, str(environment))
