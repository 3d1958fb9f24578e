"""What was done before: the facts that the ledger has for conditions. Bounded in number and age."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine, Select, bindparam, func, select

from doorward.ledger.schema import CAPABILITIES, SESSIONS, TASKS
from doorward.ledger.values import Ended

OWN: Final = 1000
"""Outcomes of one task, the newest."""
OTHERS: Final = 200
"""Outcomes of another role, the newest."""
REMEMBERED_SECONDS: Final = 7 * 24 * 3600.0
"""How long what another role did is remembered."""

_COLUMNS: Final = (
    CAPABILITIES.c.rule,
    CAPABILITIES.c.connector,
    CAPABILITIES.c.action,
    CAPABILITIES.c.outcome,
    CAPABILITIES.c.resource,
    CAPABILITIES.c.shown,
    CAPABILITIES.c.redeemed_at.label("at"),
    TASKS.c.role,
    TASKS.c.name.label("task"),
)
_JOINED: Final = TASKS.join(SESSIONS, SESSIONS.c.task_uid == TASKS.c.uid).join(
    CAPABILITIES, CAPABILITIES.c.session == SESSIONS.c.id
)


def _newest(*conditions: Any) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .select_from(_JOINED)
        .where(CAPABILITIES.c.outcome.is_not(None), *conditions)
        .order_by(CAPABILITIES.c.jti.desc())
        .limit(bindparam("most"))
    )


_OF_TASK: Final = _newest(TASKS.c.uid == bindparam("task"))
_OF_ROLE: Final = _newest(
    TASKS.c.namespace == bindparam("namespace"),
    TASKS.c.role == bindparam("role"),
    CAPABILITIES.c.redeemed_at >= bindparam("since"),
    CAPABILITIES.c.resource.like(bindparam("about"), escape="\\"),
)
_SPENT: Final = (
    select(CAPABILITIES.c.rule, CAPABILITIES.c.effect, func.count())
    .select_from(SESSIONS.join(CAPABILITIES, CAPABILITIES.c.session == SESSIONS.c.id))
    .where(SESSIONS.c.task_uid == bindparam("task"), CAPABILITIES.c.redemption.is_not(None))
    .group_by(CAPABILITIES.c.rule, CAPABILITIES.c.effect)
)


class History:
    """Queries. Each may block for as long as the disk takes: call them off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of_task(self, task_uid: str) -> tuple[Ended, ...]:
        """What the actions of a task came to, oldest first; of very many the newest."""
        return self._ended(_OF_TASK, {"task": task_uid, "most": OWN})

    def of_role(
        self, namespace: str, role: str, now: float, repository: str | None = None
    ) -> tuple[Ended, ...]:
        """What the actions of a role's tasks came to of late, oldest first; about one repository or all.

        The prefilter is by text and may let others through: whoever asks compares resources himself.
        """
        about = "%" if repository is None else f"%{_escaped(repository)}%"
        bounds = {"since": now - REMEMBERED_SECONDS, "most": OTHERS, "about": about}
        return self._ended(_OF_ROLE, {"namespace": namespace, "role": role, **bounds})

    def spent(self, task_uid: str) -> dict[tuple[str, str], int]:
        """(rule, effect) -> capabilities of the task that were spent."""
        with self._engine.connect() as connection:
            rows = connection.execute(_SPENT, {"task": task_uid}).all()
        return {(rule, effect): count for rule, effect, count in rows}

    def _ended(self, statement: Select[Any], parameters: Mapping[str, Any]) -> tuple[Ended, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(statement, parameters).mappings().all()
        return tuple(_row(dict(row)) for row in reversed(rows))


def _row(row: dict[str, Any]) -> Ended:
    shown = json.loads(row["shown"]) if row["shown"] else ()
    return Ended(**{**row, "resource": json.loads(row["resource"]), "shown": tuple(shown)})


def _escaped(repository: str) -> str:
    """The member as it stands in the canonical JSON of a resource, with nothing that LIKE would read."""
    text = f'"repository": {json.dumps(repository)}'
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
