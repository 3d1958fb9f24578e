"""The words of a no that a counter says: how much is taken of what, whose it is, and what helps."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from doorward.core.decision import Denial, Holder, Reservation, Unit
from doorward.errors import Code
from doorward.policy.limits import DAY, MICRO, MINUTE

_PER: Final = {None: "in all", MINUTE: "a minute", DAY: "a day"}
_NOUNS: Final = {
    Unit.ACTIONS: "actions",
    Unit.BYTES: "bytes",
    Unit.TOKENS: "tokens",
    Unit.SPEND: "of the currency",
}
_SOON: Final = {MINUTE: "try again in a minute", DAY: "try again when a day has passed"}
_LARGER: Final = {
    Holder.RULE: "the role's author for a higher limit, or a new task",
    Holder.TASK: "a task with a larger budget",
    Holder.ROLE: "the role's author for a higher ceiling",
    Holder.REQUESTER: "the role's author for a higher ceiling",
    Holder.CONNECTOR: "the owner of the Connector to raise the ceiling",
}


def over_limit(wanted: Reservation, used: int) -> Denial:
    """The no of a counter that has no room left, given what of it is used or set aside."""
    if wanted.holder is Holder.GRANT:
        return used_up(wanted.limit)
    return Denial(
        Code.BUDGET_EXHAUSTED if wanted.holder is Holder.TASK else Code.LIMIT_EXCEEDED,
        _detail(wanted, used),
        rule=wanted.name if wanted.holder is Holder.RULE else None,
        allowed=bound(wanted),
        ask=_ask(wanted, used),
    )


def used_up(uses: int) -> Denial:
    """The no of a Grant whose uses have all been taken."""
    return Denial(
        Code.LIMIT_EXCEEDED,
        f"people agreed to {uses} of this action, and all of them are used",
        allowed=f"{uses} per Grant",
        ask="an approver to delete the Grant; then the action can be asked for again",
    )


def bound(item: Reservation) -> str:
    """The bound itself, e.g. `3 draft actions in all under the task's budget`."""
    return f"{_quantity(item, item.limit)} {_PER[item.window_seconds]} {_whose(item)}"


def _detail(item: Reservation, used: int) -> str:
    taken = f"{_number(item, used)} of {_quantity(item, item.limit)} {_PER[item.window_seconds]}"
    if item.unit is Unit.OPEN:
        return f"{taken} are open {_whose(item)}"
    if not item.uncertain:
        return f"{taken} are used {_whose(item)}"
    more = f"this action may use {_number(item, item.amount)}"
    return f"{taken} are used or set aside {_whose(item)}, and {more}"


def _ask(item: Reservation, used: int) -> str:
    if item.unit is Unit.OPEN:
        return f"close one of them upstream and read it, or ask {_LARGER[item.holder]}"
    if item.uncertain and used < item.limit:
        return f"for one that uses at most {_number(item, item.limit - used)}, or {_LARGER[item.holder]}"
    return _LARGER[item.holder] if item.window_seconds is None else _SOON[item.window_seconds]


def _whose(item: Reservation) -> str:
    return {
        Holder.RULE: f"under rule {item.name} in this task",
        Holder.TASK: "under the task's budget",
        Holder.ROLE: f"over all tasks of role {item.name}",
        Holder.REQUESTER: "over all tasks of the role that the same person asked for",
        Holder.CONNECTOR: f"over all tasks of the namespace through Connector {item.name}",
    }[item.holder]


def _quantity(item: Reservation, amount: int) -> str:
    if item.unit is Unit.OPEN:
        return f"{amount} objects of kind {item.kind}"
    effect = f"{item.effect} " if item.effect else ""
    return f"{_number(item, amount)} {effect}{_NOUNS[item.unit]}"


def _number(item: Reservation, amount: int) -> str:
    return f"{Decimal(amount) / MICRO:f}" if item.unit is Unit.SPEND else str(amount)
