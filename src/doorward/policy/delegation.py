"""Starting child tasks: whom an agent may set to work, how deep, how often.

What a child may then do needs no rule here: `decide` asks its parent as well, and so up the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from doorward.api.v1alpha1 import Delegation
from doorward.core.decision import Denial, Reservation
from doorward.errors import Code
from doorward.policy.chain import GATES
from doorward.policy.context import Context

_ASK: Final = "the role's author"


def may_start(role: str, context: Context) -> Reservation | Denial:
    """Room for one child in `role`, which the ledger takes, or why there is none. Pure."""
    for holder in context.lineage:
        for gate in GATES:
            if closed := gate(holder):
                return closed
    found = _delegations(context)
    if any(item is None or role not in item.roles for item in found):
        return _no_rule(role, found)
    if not _deep_enough(context):
        return Denial(
            Code.LIMIT_EXCEEDED,
            "tasks are started by tasks too deep already",
            allowed="the depth that the roles of all tasks above name",
            ask=_ASK,
        )
    return Reservation(key(context.task.metadata.uid), min(item.tasks for item in found if item))


def key(task_uid: str) -> str:
    """The counter of a task's children."""
    return f"task:{task_uid}/children"


def too_many(wanted: Reservation, used: int) -> Denial:
    """The no of a counter of children that has no room left."""
    return Denial(
        Code.LIMIT_EXCEEDED,
        f"{used} of {wanted.limit} tasks started in the life of the task",
        allowed=f"{wanted.limit} children",
        ask=_ASK,
    )


def _delegations(context: Context) -> tuple[Delegation | None, ...]:
    """Of the pinned and of the current role: narrowing acts at once, widening on new tasks only."""
    current = context.current_role
    return (context.pinned_role.spec.delegation, current.spec.delegation if current else None)


def _deep_enough(context: Context) -> bool:
    depths = [min(_depths(holder)) for holder in context.lineage]
    return all(depth >= below for below, depth in enumerate(depths, start=1))


def _depths(context: Context) -> Iterator[int]:
    for found in _delegations(context):
        yield found.depth if found else 0


def _no_rule(role: str, found: tuple[Delegation | None, ...]) -> Denial:
    named = [set(item.roles) if item else set() for item in found]
    return Denial(
        Code.NO_RULE,
        f"this task starts no tasks in role {role}",
        rule="delegation",
        allowed=", ".join(sorted(set.intersection(*named))) or "no tasks",
        ask=_ASK,
    )
