"""Limits as reservations: the ledger takes the room, the policy says which.

Each counter belongs to a holder: a rule within one task, the task, its role, the person who asked for
it, or the Connector's ceiling for the namespace. All of them are keyed by name, but for the task, which
is keyed by its UID: a task of the same name is another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from doorward.api.v1alpha1 import (
    AgentRole,
    AgentTask,
    Allowance,
    Budgets,
    Connector,
    Rule,
    Spending,
    Tenant,
)
from doorward.core import digest
from doorward.core.action import MAX_ANSWER, ActionType, Attachment, Use
from doorward.core.decision import Holder, Reservation, Unit
from doorward.core.effect import Effect
from doorward.core.strictjson import JsonObject

MINUTE: Final = 60
DAY: Final = 24 * 60 * 60
MICRO: Final = 1_000_000
"""Units of `spend` in one of the currency."""
ANSWER: Final = Use(most=MAX_ANSWER)
"""What is read of an answer at most, unless the action declares its own `bytes`."""

_SIZES: Final = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_WINDOWS: Final = {None: "", MINUTE: "/minute", DAY: "/day"}


@dataclass(frozen=True, slots=True)
class Load:
    """What one action may take."""

    action: ActionType
    effect: Effect
    args: JsonObject
    attachments: tuple[Attachment, ...] = ()

    @property
    def sent(self) -> int:
        """Bytes of arguments and attachments."""
        return digest.size_of(self.args) + sum(item.size for item in self.attachments)

    def most(self, unit: Unit) -> int | None:
        """The most that it uses of what its type declares, or reads of an answer; None for none at all."""
        use = self.action.uses.get(unit, ANSWER if unit is Unit.BYTES else None)
        return None if use is None else use.of(self.args)


def of_rule(task: AgentTask, rule: Rule) -> Iterator[Reservation]:
    """Room that one action takes from its rule."""
    key = f"task:{task.metadata.uid}/rule:{rule.name}"
    holder, bounds = _Holder(key, Holder.RULE, rule.name), rule.limits
    yield from holder.counts(bounds.per_task, None)
    yield from holder.counts(bounds.per_minute, MINUTE)


def of_task(task: AgentTask, load: Load) -> Iterator[Reservation]:
    """Room that one action takes from the task's budgets."""
    key, budgets = f"task:{task.metadata.uid}", task.spec.budgets
    effect = _Holder(f"{key}/effect:{load.effect}", Holder.TASK, "", load.effect)
    yield from effect.counts(budgets.actions.get(load.effect), None)
    yield from _Holder(key, Holder.TASK, "").uses(load, _most_of(budgets), None)


def of_role(role: AgentRole, requester: str, load: Load) -> Iterator[Reservation]:
    """Room that one action takes from its role, and from what the role leaves to one person."""
    home, name, ceilings = role.metadata.namespace, role.metadata.name, role.spec.ceilings
    whole = _Holder(f"role:{home}/{name}", Holder.ROLE, name)
    person = _Holder(f"requester:{home}/{requester}/role:{name}", Holder.REQUESTER, requester)
    yield from whole.allows(ceilings, load)
    yield from whole.opens(ceilings.open, load.action.makes)
    yield from person.allows(ceilings.per_requester, load)


def of_connector(
    connector: Connector, tenants: Iterable[Tenant], namespace: str, load: Load
) -> Iterator[Reservation]:
    """Room that one action takes from what the Connector's owner leaves to the namespace."""
    name = connector.metadata.name
    whole = _Holder(f"connector:{name}/{namespace}", Holder.CONNECTOR, name)
    effect = _Holder(f"{whole.key}/effect:{load.effect}", Holder.CONNECTOR, name, load.effect)
    for tenant in tenants:
        bounds = tenant.ceilings
        yield from effect.counts(bounds.per_minute.get(load.effect), MINUTE)
        yield from effect.counts(bounds.per_day.get(load.effect), DAY)
        yield from whole.uses(load, _most_a_day(bounds), DAY)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Somebody's counters."""

    key: str
    holder: Holder
    name: str
    effect: Effect | None = None

    def counts(self, limit: int | None, window: int | None) -> Iterator[Reservation]:
        if limit is not None:
            key = self.key + _WINDOWS[window]
            yield Reservation(
                key, limit, window_seconds=window, holder=self.holder, name=self.name, effect=self.effect
            )

    def uses(self, load: Load, limits: Mapping[Unit, int], window: int | None) -> Iterator[Reservation]:
        for unit, limit in limits.items():
            most = load.most(unit)
            if most is None:
                continue
            sure = load.sent if unit is Unit.BYTES else 0
            key = f"{self.key}/{unit}{_WINDOWS[window]}"
            yield Reservation(key, limit, sure + most, window, unit, most, self.holder, self.name)

    def allows(self, bounds: Allowance, load: Load) -> Iterator[Reservation]:
        yield from self.counts(bounds.per_minute, MINUTE)
        yield from self.counts(bounds.per_day, DAY)
        yield from self.uses(load, _most_a_day(bounds), DAY)

    def opens(self, limits: Mapping[str, int], kind: str | None) -> Iterator[Reservation]:
        if kind is not None and kind in limits:
            key = f"{self.key}/open:{kind}"
            yield Reservation(
                key, limits[kind], unit=Unit.OPEN, holder=self.holder, name=self.name, kind=kind
            )


def _most_of(budgets: Budgets) -> dict[Unit, int]:
    found = {
        Unit.BYTES: bytes_of(budgets.bytes) if budgets.bytes else None,
        Unit.TOKENS: budgets.tokens,
        Unit.SPEND: micro(budgets.spend) if budgets.spend else None,
    }
    return {unit: limit for unit, limit in found.items() if limit is not None}


def _most_a_day(bounds: Spending) -> dict[Unit, int]:
    found = {
        Unit.TOKENS: bounds.tokens_per_day,
        Unit.SPEND: micro(bounds.spend_per_day) if bounds.spend_per_day else None,
    }
    return {unit: limit for unit, limit in found.items() if limit is not None}


def micro(amount: str) -> int:
    """A decimal with at most six places in millionths, exactly."""
    return int(Decimal(amount) * MICRO)


def bytes_of(quantity: str) -> int:
    """Bytes of a quantity in Ki, Mi or Gi."""
    return int(quantity[:-2]) * _SIZES[quantity[-2:]]


def of_grant(uid: str, max_uses: int) -> Reservation:
    """The use that one action takes of the Grant that people agreed to."""
    return Reservation(f"grant:{uid}", max_uses, holder=Holder.GRANT)


def strictest(reservations: Iterable[Reservation]) -> tuple[Reservation, ...]:
    """One reservation per key, with the smaller limit where two readings differ."""
    found: dict[str, Reservation] = {}
    for item in reservations:
        known = found.get(item.key)
        if known is None or item.limit < known.limit:
            found[item.key] = item
    return tuple(found.values())
