"""What selectors, globs, ceilings and forbidden places reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from doorward.api.v1alpha1 import (
    Connector,
    ContinuousIntegration,
    Forbid,
    LabelSelector,
    Rule,
    Scope,
    Tenant,
)
from doorward.core import glob, selectors
from doorward.core.action import ActionType, Resource
from doorward.core.effect import Effect

_FORBIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "repositories": ("repository",),
    "environments": ("environment",),
    "branches": ("branch", "base"),
    "paths": ("path",),
}
_SCOPED: Final[Mapping[str, str]] = {
    "repositories": "repository",
    "environments": "environment",
    "paths": "path",
}


def effect_of(action: ActionType, connector: Connector) -> Effect:
    """The effect here: where CI runs agents' branches with privileges, what brings code deploys it."""
    shared = connector.spec.ci is ContinuousIntegration.SHARED
    if action.runs_ci and shared and action.effect.rank < Effect.DEPLOY.rank:
        return Effect.DEPLOY
    return action.effect


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether all requirements hold. An empty selector selects nothing."""
    if not selector.match_labels and not selector.match_expressions:
        return False
    requirements = [(item.key, item.operator, item.values) for item in selector.match_expressions]
    return selectors.holds(labels, selector.match_labels, requirements)


def tenants_of(connector: Connector, labels: Mapping[str, str]) -> tuple[Tenant, ...]:
    """The tenant entries that speak of a namespace with these labels."""
    return tuple(tenant for tenant in connector.spec.tenants if selects(tenant.namespaces.selector, labels))


def within(wanted: Mapping[str, tuple[str, ...]], resource: Resource) -> bool:
    """Whether every attribute that is constrained is there and fits one of its globs."""
    return all(
        name in resource and glob.matches_any(globs, str(resource[name])) for name, globs in wanted.items()
    )


def names(rule: Rule, action: ActionType, effect: Effect) -> bool:
    """Whether the rule names the action: by name, or by `*` where the effect is reversible.

    `*` passes over actions that could not hold the rule's constraints.
    """
    if action.name in rule.actions:
        return True
    return "*" in rule.actions and effect.rank <= Effect.DRAFT.rank and set(rule.resources) <= action.enforces


def forbidden(forbid: Forbid, resource: Resource) -> str | None:
    """Which forbidden place the resource is in, in words, or None."""
    for field, attributes in _FORBIDDEN.items():
        globs = getattr(forbid, field) or ()
        for attribute in attributes:
            if attribute in resource and glob.forbids(globs, str(resource[attribute])):
                return f"{attribute} {resource[attribute]} is in {', '.join(globs)}"
    return None


def outside(scope: Scope, resource: Resource) -> str | None:
    """Which attribute leaves the scope, in words, or None. What the action has no attribute for stays."""
    for attribute, globs in _scoped(scope):
        if attribute in resource and not glob.matches_any(globs, str(resource[attribute])):
            return f"{attribute} {resource[attribute]} is not in {', '.join(globs)}"
    return None


def _scoped(scope: Scope) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field, attribute in _SCOPED.items():
        globs = getattr(scope, field)
        if globs is not None:
            yield attribute, globs


def in_words(wanted: Mapping[str, tuple[str, ...]]) -> str:
    """Constraints as a sentence part, e.g. `repository acme/*`."""
    return "; ".join(f"{name} {', '.join(globs)}" for name, globs in wanted.items()) or "any resource"
