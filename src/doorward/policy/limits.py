"""Limits as reservations: the ledger takes the room, the policy says which and words the no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from doorward.api.v1alpha1 import AgentRole, AgentTask, Rule
from doorward.core.decision import Denial, Reservation
from doorward.core.effect import Effect
from doorward.errors import Code

MINUTE: Final = 60


def of_rule(task: AgentTask, rule: Rule) -> Iterator[Reservation]:
    """Room that one action takes from its rule."""
    key = f"task:{task.metadata.uid}/rule:{rule.name}"
    if rule.limits.per_task is not None:
        yield Reservation(key, rule.limits.per_task)
    if rule.limits.per_minute is not None:
        yield Reservation(f"{key}/minute", rule.limits.per_minute, window_seconds=MINUTE)


def of_role(role: AgentRole) -> Iterator[Reservation]:
    """Room that one action takes from its role; keyed by name, so that making it anew resets nothing."""
    if role.spec.ceilings.per_minute is not None:
        key = f"role:{role.metadata.namespace}/{role.metadata.name}/minute"
        yield Reservation(key, role.spec.ceilings.per_minute, window_seconds=MINUTE)


def of_task(task: AgentTask, effect: Effect) -> Iterator[Reservation]:
    """Room that one action takes from the task's budget for its effect."""
    budget = task.spec.budgets.actions.get(effect)
    if budget is not None:
        yield Reservation(f"task:{task.metadata.uid}/effect:{effect}", budget)


def of_grant(uid: str, max_uses: int) -> Reservation:
    """The use that one action takes of the Grant that people agreed to."""
    return Reservation(f"grant:{uid}", max_uses)


def strictest(reservations: Iterable[Reservation]) -> tuple[Reservation, ...]:
    """One reservation per key, with the smaller limit where the pinned and the current role differ."""
    found: dict[str, Reservation] = {}
    for item in reservations:
        known = found.get(item.key)
        if known is None or item.limit < known.limit:
            found[item.key] = item
    return tuple(found.values())


def used_up(uses: int) -> Denial:
    """The no of a Grant whose uses have all been taken."""
    return Denial(
        Code.LIMIT_EXCEEDED,
        f"people agreed to {uses} of this action, and all of them are used",
        allowed=f"{uses} per Grant",
        ask="an approver to delete the Grant; then the action can be asked for again",
    )


def over_limit(reservation: Reservation, used: int) -> Denial:
    """The no of a counter that has no room left."""
    if reservation.key.startswith("grant:"):
        return used_up(reservation.limit)
    scope, _, part = reservation.key.partition("/")
    kind, _, name = part.removesuffix("/minute").partition(":")
    per = "a minute" if reservation.window_seconds else "for the life of the task"
    if kind == "effect":
        return Denial(
            Code.BUDGET_EXHAUSTED,
            f"the task's budget of {reservation.limit} {name} actions has {used} used",
            allowed=f"{reservation.limit} {name} actions {per}",
            ask="a task with a larger budget",
        )
    whole_role = scope.startswith("role:")
    return Denial(
        Code.LIMIT_EXCEEDED,
        f"{used} of {reservation.limit} used {per}" + (" by all tasks of the role" if whole_role else ""),
        rule=None if whole_role else name,
        allowed=f"{reservation.limit} {per}",
        ask="try again in a minute" if reservation.window_seconds else "the role's author for a higher limit",
    )
