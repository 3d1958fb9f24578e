"""What an effect demands beyond a rule, and what a rule passes on to the connector."""

from __future__ import annotations

from typing import Final

from doorward.api.v1alpha1 import Rule
from doorward.core import glob
from doorward.core.action import Resource
from doorward.core.effect import Effect
from doorward.policy import evaluate

_PRODUCTION: Final = ("**prod**", "live", "**/live")
"""Environments that count as production; so does one that the action does not name."""
_ALWAYS: Final = frozenset({Effect.ROLLBACK, Effect.DESTROY, Effect.ADMIN})
_GUARDED: Final = frozenset({Effect.MERGE, Effect.DEPLOY})


def demand(rule: Rule, effect: Effect, resource: Resource) -> str | None:
    """Why people must approve an action under this rule, or None."""
    if rule.approval is not None:
        return f"rule {rule.name} demands it"
    if needs_approval(effect):
        return f"{effect} always needs an approval"
    if effect is Effect.DEPLOY and _is_production(resource):
        return "a deployment to production always needs an approval"
    if needs_guard(effect) and not is_guarded(rule):
        return f"{effect} needs an approval, or a condition over facts that no agent can make"
    return None


def needs_approval(effect: Effect) -> bool:
    """Whether people must agree to every action of this effect."""
    return effect in _ALWAYS


def needs_guard(effect: Effect) -> bool:
    """Whether a rule's own words are not enough for this effect."""
    return effect in _GUARDED


def is_guarded(rule: Rule) -> bool:
    """Whether the rule has a guard besides its own words: people, or facts that no agent can make."""
    return rule.approval is not None or (rule.when is not None and evaluate.rests_on_others(rule.when))


def caveats(rule: Rule) -> dict[str, int]:
    """Sizes that the connector measures again right before the call, by attribute."""
    sizes = {"diffLines": rule.limits.diff_lines, "files": rule.limits.files}
    return {name: size for name, size in sizes.items() if size is not None}


def _is_production(resource: Resource) -> bool:
    environment = resource.get("environment")
    return environment is None or glob.forbids(_PRODUCTION, str(environment))
