"""Grades of tasks, and the one way back from a freeze."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import bindparam, delete, insert, null, select, update

from doorward.core.grade import Cause, Grade
from doorward.ledger.decisions import denials_of
from doorward.ledger.schema import COUNTERS, SESSIONS, TASKS, THAWS
from doorward.ledger.tasks import close_session
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Thawed, ThawRequest
from doorward.telemetry.events import Event

ThawOutcome = Literal["thawed", "nothing_frozen", "frozen_later", "used_before", "own_task"]

_GRADE: Final = (
    update(TASKS)
    .where(TASKS.c.uid == bindparam("task"), TASKS.c.state == "live")
    .values(
        grade=bindparam("to"),
        cause=bindparam("because"),
        story=bindparam("told"),
        graded_until=bindparam("till"),
    )
)
_KNOWN: Final = select(THAWS).where(
    THAWS.c.namespace == bindparam("of_namespace"), THAWS.c.name == bindparam("of_name")
)
_RECORD: Final = insert(THAWS)
_FROZEN: Final = (
    select(TASKS)
    .where(
        TASKS.c.namespace == bindparam("of_namespace"),
        TASKS.c.name == bindparam("of_name"),
        TASKS.c.state == "frozen",
    )
    .order_by(TASKS.c.pinned_at.desc())
    .limit(1)
)
_LIVE: Final = (
    select(TASKS.c.uid)
    .where(
        TASKS.c.namespace == bindparam("of_namespace"),
        TASKS.c.name == bindparam("of_name"),
        TASKS.c.state == "live",
    )
    .order_by(TASKS.c.pinned_at.desc())
    .limit(1)
)
_THAW: Final = (
    update(TASKS)
    .where(TASKS.c.uid == bindparam("task"), TASKS.c.state == "frozen")
    .values(
        state="live",
        reason=null(),
        frozen_at=null(),
        grade=0,
        cause=null(),
        story=null(),
        graded_until=null(),
    )
)
_FORGET: Final = delete(COUNTERS).where(COUNTERS.c.key == bindparam("of_key"))
_OPEN: Final = select(SESSIONS.c.id).where(
    SESSIONS.c.task_uid == bindparam("uid"), SESSIONS.c.closed_at.is_(None)
)


def grade(
    txn: Transaction, task_uid: str, to: Grade, because: tuple[Cause | None, str], until: float
) -> bool:
    """Write down how a live task is treated from now on; false when there is none."""
    cause, story = because
    changed = txn.run(
        _GRADE,
        task=task_uid,
        to=int(to),
        because=cause.value if cause else None,
        told=story or None,
        till=until or None,
    )
    if not changed:
        return False
    txn.append(
        Event.TASK_GRADED,
        task_uid,
        grade=to.word,
        cause=cause.value if cause else None,
        story=story or None,
        until=int(until * 1000) or None,
    )
    return True


def thaw(txn: Transaction, asked: ThawRequest) -> Thawed:
    """Let a frozen task live again, if it was frozen before this was asked for.

    Each Thaw counts once, by its name for good: the same manifest applied again does nothing.
    """
    known = txn.one(_KNOWN, of_namespace=asked.namespace, of_name=asked.name)
    if known is not None:
        return _again(txn, known, asked)
    task = txn.one(_FROZEN, of_namespace=asked.namespace, of_name=asked.task)
    outcome = _outcome(task, asked)
    txn.put(
        _RECORD,
        namespace=asked.namespace,
        name=asked.name,
        uid=asked.uid,
        outcome=outcome,
        recorded_at=txn.now,
    )
    if task is None or outcome != "thawed":
        return Thawed(outcome, None, new=True)
    return _thaw(txn, task, asked)


def _again(txn: Transaction, known: Row, asked: ThawRequest) -> Thawed:
    """What was said before; with the task, for a broker that has not heard of it, while it still lives."""
    if known["uid"] != asked.uid:
        return Thawed("used_before", None, new=False)
    live = txn.one(_LIVE, of_namespace=asked.namespace, of_name=asked.task)
    lives = live is not None and known["outcome"] == "thawed"
    return Thawed(known["outcome"], live["uid"] if live and lives else None, new=False)


def _outcome(task: Row | None, asked: ThawRequest) -> ThawOutcome:
    if task is None:
        return "nothing_frozen"
    if asked.user in {*asked.involved, task["requester"]}:
        return "own_task"
    later = task["frozen_at"] is not None and task["frozen_at"] >= asked.created_at
    return "frozen_later" if later else "thawed"


def _thaw(txn: Transaction, task: Row, asked: ThawRequest) -> Thawed:
    theft = task["cause"] == Cause.SESSION_THEFT
    txn.run(_THAW, task=task["uid"])
    txn.run(_FORGET, of_key=denials_of(task["uid"]))
    closed = [row["id"] for row in txn.all(_OPEN, uid=task["uid"])] if theft else []
    for session in closed:
        close_session(txn, session, "thawed: whose session it was is not known")
    txn.append(
        Event.TASK_THAWED,
        task["uid"],
        thaw=asked.uid,
        name=asked.name,
        by=asked.user,
        reason=asked.reason,
        was=task["reason"],
        cause=task["cause"],
    )
    return Thawed("thawed", task["uid"], new=True, sessions_closed=theft)
