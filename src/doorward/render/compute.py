"""How much compute an agent gets: the task within the role, the role within the chart's default."""

from __future__ import annotations

from collections.abc import Mapping

from doorward.api.v1alpha1 import Compute, Quantities
from doorward.errors import Code, Refusal
from doorward.render.quantity import canonical, value
from doorward.render.settings import AMOUNTS, Amounts


def resources(task: Compute, role: Compute, default: Amounts) -> dict[str, dict[str, str]]:
    """`{requests, limits}` of the agent container, every amount named.

    Raises `Refusal(out_of_scope)` when the task wants more than its role allows.
    """
    levels = [_plain(task), _plain(role), default]
    limits = {amount: _limit(amount, levels) for amount in AMOUNTS}
    requests = {amount: _request(amount, levels) for amount in AMOUNTS}
    bounds = {amount: _limit(amount, levels[1:]) for amount in AMOUNTS}
    _check(limits, bounds, "of the role")
    _check(requests, limits, "that limits it")
    return {"limits": limits, "requests": requests}


def _check(wanted: Mapping[str, str], bound: Mapping[str, str], whose: str) -> None:
    for amount in AMOUNTS:
        if value(wanted[amount]) > value(bound[amount]):
            raise Refusal(
                Code.OUT_OF_SCOPE,
                f"{wanted[amount]} {amount} is above the {bound[amount]} {whose}",
                rule="agent.resources",
                allowed=f"at most {bound[amount]}",
                ask="ask for less, or have the role's agent.resources raised",
            )


def _limit(amount: str, levels: list[Amounts]) -> str:
    return next(level.limits[amount] for level in levels if amount in level.limits)


def _request(amount: str, levels: list[Amounts]) -> str:
    """The first level that speaks of the amount decides; its limit stands in for a missing request."""
    for level in levels:
        if amount in level.requests:
            return level.requests[amount]
        if amount in level.limits:
            return level.limits[amount]
    raise AssertionError(amount)  # pragma: no cover - the last level names every amount


def _plain(compute: Compute) -> Amounts:
    return Amounts(_quantities(compute.requests), _quantities(compute.limits))


def _quantities(found: Quantities) -> dict[str, str]:
    named = {"cpu": found.cpu, "memory": found.memory, "ephemeral-storage": found.ephemeral_storage}
    return {amount: canonical(text) for amount, text in named.items() if text is not None}
