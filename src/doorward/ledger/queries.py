"""Reading the ledger beside the writer, on connections of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from sqlalchemy import Engine, Executable, bindparam, func, literal, select

from doorward.core.grade import Cause
from doorward.ledger.chain import Link, first_break
from doorward.ledger.grants import counted
from doorward.ledger.own import BROKER
from doorward.ledger.schema import (
    APPROVALS,
    CAPABILITIES,
    COUNTERS,
    DECISIONS,
    EVENTS,
    GRANTS,
    SESSIONS,
    TASKS,
)
from doorward.ledger.values import GrantRow, Session, TaskRow

PAGE: Final = 1000

_COLUMNS: Final = [EVENTS.c[item.name] for item in fields(Link)]
_PAGE: Final = (
    select(*_COLUMNS).where(EVENTS.c.seq > bindparam("after")).order_by(EVENTS.c.seq).limit(bindparam("most"))
)
_OF_TASK: Final = _PAGE.where(EVENTS.c.task_uid == bindparam("task"))
_TASKS: Final = select(*(TASKS.c[item.name] for item in fields(TaskRow))).where(
    TASKS.c.state != "ended", TASKS.c.uid != BROKER
)
_PINNED: Final = select(TASKS.c.role_snapshot).where(TASKS.c.uid == bindparam("task"))
_CAUSE: Final = select(TASKS.c.cause).where(TASKS.c.uid == bindparam("task"))
_SESSIONS: Final = (
    select(
        SESSIONS.c.id,
        SESSIONS.c.task_uid,
        TASKS.c.namespace,
        TASKS.c.name.label("task"),
        TASKS.c.role,
        TASKS.c.pod_uid,
        SESSIONS.c.thumbprint,
        SESSIONS.c.peer,
        SESSIONS.c.opened_at,
    )
    .join(TASKS, TASKS.c.uid == SESSIONS.c.task_uid)
    .where(SESSIONS.c.closed_at.is_(None), TASKS.c.uid != BROKER)
)

_EFFECT: Final = select(CAPABILITIES.c.effect).where(CAPABILITIES.c.jti == bindparam("jti"))
_USES: Final = (
    select(func.coalesce(func.sum(COUNTERS.c.used), 0))
    .where(COUNTERS.c.key == literal("grant:") + GRANTS.c.uid)
    .scalar_subquery()
    .label("uses")
)
_GRANTS: Final = select(GRANTS, _USES)
_OF_ACTION: Final = _GRANTS.where(
    GRANTS.c.task_uid == bindparam("task"),
    GRANTS.c.digest == bindparam("digest"),
    GRANTS.c.uid.is_not(None),
    GRANTS.c.gone_at.is_(None),
).order_by(GRANTS.c.requested_at.desc(), GRANTS.c.name)
_OF_NAME: Final = _GRANTS.where(
    GRANTS.c.namespace == bindparam("of_namespace"), GRANTS.c.name == bindparam("of_name")
)
_RESTED_ON: Final = (
    select(CAPABILITIES.c.grant_uid)
    .join(DECISIONS, DECISIONS.c.capability == CAPABILITIES.c.jti)
    .where(DECISIONS.c.session == bindparam("session"), DECISIONS.c.request == bindparam("request"))
)
_THERE: Final = select(GRANTS.c.namespace, GRANTS.c.name).where(
    GRANTS.c.uid.is_not(None), GRANTS.c.gone_at.is_(None)
)
_ANSWERS: Final = (
    select(APPROVALS)
    .where(APPROVALS.c.grant_uid == bindparam("of_uid"))
    .order_by(APPROVALS.c.recorded_at, APPROVALS.c.user)
)


class Reader:
    """Queries. Each may block for as long as the disk takes: call them off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Close the connections that are kept for the next query."""
        self._engine.dispose()

    def events(self, task_uid: str | None = None, after: int = 0, most: int = PAGE) -> list[Link]:
        """Events in order, of one task or all, numbered higher than `after`."""
        statement = _PAGE if task_uid is None else _OF_TASK
        parameters: dict[str, object] = {"after": after, "most": most}
        if task_uid is not None:
            parameters["task"] = task_uid
        with self._engine.connect() as connection:
            return [Link(**row) for row in connection.execute(statement, parameters).mappings()]

    def walk(self) -> Iterator[Link]:
        """Every event, a page at a time."""
        after = 0
        while page := self.events(after=after):
            yield from page
            after = page[-1].seq

    def first_break(self) -> int | None:
        """Number of the first event that does not follow from the one before; None when all do."""
        return first_break(self.walk())

    def event(self, seq: int) -> Link | None:
        """The event of this number."""
        page = self.events(after=seq - 1, most=1)
        return page[0] if page and page[0].seq == seq else None

    def tasks(self) -> list[TaskRow]:
        """Every task that had a session and has not ended."""
        with self._engine.connect() as connection:
            return [TaskRow(**row) for row in connection.execute(_TASKS).mappings()]

    def pinned_role(self, task_uid: str) -> str | None:
        """The AgentRole that a task was pinned to, as JSON; None before its first session."""
        with self._engine.connect() as connection:
            found = connection.execute(_PINNED, {"task": task_uid}).scalar()
        return None if found is None else str(found)

    def cause(self, task_uid: str) -> Cause | None:
        """What a task was frozen for; None where nothing is known."""
        with self._engine.connect() as connection:
            found = connection.execute(_CAUSE, {"task": task_uid}).scalar()
        return Cause(found) if found else None

    def grants(self, task_uid: str, action_digest: str) -> tuple[GrantRow, ...]:
        """The Grants of a task for one action, the one asked for last first; deleted ones do not count."""
        return self._grants(_OF_ACTION, task=task_uid, digest=action_digest)

    def grant(self, namespace: str, name: str) -> GrantRow | None:
        """The Grant of this name, also after it was deleted."""
        found = self._grants(_OF_NAME, of_namespace=namespace, of_name=name)
        return found[0] if found else None

    def rested_on(self, session: str, request: str) -> str | None:
        """UID of the Grant of which this very request has taken a use already."""
        values = {"session": session, "request": request}
        with self._engine.connect() as connection:
            found = connection.execute(_RESTED_ON, values).scalar()
        return None if found is None else str(found)

    def known_grants(self) -> list[tuple[str, str]]:
        """Namespace and name of every Grant whose object is there, as far as we know."""
        with self._engine.connect() as connection:
            return [(str(row[0]), str(row[1])) for row in connection.execute(_THERE)]

    def _grants(self, statement: Executable, **values: object) -> tuple[GrantRow, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(statement, values).mappings().all()
            return tuple(
                GrantRow(
                    **{**row, "uses": int(row["uses"])},
                    answers=tuple(
                        counted(dict(item))
                        for item in connection.execute(_ANSWERS, {"of_uid": row["uid"]}).mappings()
                    ),
                )
                for row in rows
            )

    def effect(self, jti: str) -> str | None:
        """The effect of a capability; None for one that is not there."""
        with self._engine.connect() as connection:
            found: str | None = connection.execute(_EFFECT, {"jti": jti}).scalar()
        return found

    def open_sessions(self) -> list[Session]:
        """Sessions of tasks that nobody closed."""
        with self._engine.connect() as connection:
            return [Session(**row) for row in connection.execute(_SESSIONS).mappings()]
