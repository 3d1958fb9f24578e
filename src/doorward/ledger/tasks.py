"""Tasks and their sessions: pinned once, one pod ever, one door at a time."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, text, update

from doorward.core import digest, ids
from doorward.core.grade import Cause, Grade
from doorward.errors import Code, Refusal
from doorward.ledger.own import BROKER
from doorward.ledger.schema import EPOCHS, REVOCATIONS, SESSIONS, TASKS
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Door, Epoch, Evidence, NotNewer, Opened, Pin, Refused, Session
from doorward.telemetry.events import Event

_TASK: Final = select(TASKS).where(TASKS.c.uid == bindparam("uid"))
_PIN: Final = insert(TASKS)
_PRESENT: Final = select(func.count().label("tasks")).where(
    TASKS.c.namespace == bindparam("of_namespace"),
    TASKS.c.role == bindparam("of_role"),
    text("state <> 'ended'"),
)
_PRESENT_OF: Final = _PRESENT.where(TASKS.c.requester == bindparam("of_requester"))
_LAST_SESSION: Final = (
    select(SESSIONS)
    .where(SESSIONS.c.task_uid == bindparam("uid"))
    .order_by(SESSIONS.c.opened_at.desc(), SESSIONS.c.id.desc())
    .limit(1)
)
_OPEN: Final = insert(SESSIONS)
_CLOSE: Final = (
    update(SESSIONS)
    .where(SESSIONS.c.id == bindparam("session"), SESSIONS.c.closed_at.is_(None))
    .values(closed_at=bindparam("at"), closed_reason=bindparam("reason"))
)
_TASK_OF: Final = select(SESSIONS.c.task_uid).where(SESSIONS.c.id == bindparam("session"))
_OPEN_OF_TASK: Final = select(SESSIONS.c.id).where(
    SESSIONS.c.task_uid == bindparam("uid"), SESSIONS.c.closed_at.is_(None)
)
_FREEZE: Final = (
    update(TASKS)
    .where(TASKS.c.uid == bindparam("task"), TASKS.c.state == "live", TASKS.c.uid != BROKER)
    .values(
        state="frozen",
        reason=bindparam("because"),
        cause=bindparam("why"),
        frozen_at=bindparam("at"),
        grade=int(Grade.FROZEN),
    )
)
_END: Final = (
    update(TASKS)
    .where(TASKS.c.uid == bindparam("task"), TASKS.c.state != "ended", TASKS.c.uid != BROKER)
    .values(state="ended", reason=bindparam("because"), ended_at=bindparam("at"))
)
_LIVE: Final = select(TASKS.c.uid).where(TASKS.c.state == "live", TASKS.c.uid != BROKER)
_NEWEST_EPOCH: Final = select(EPOCHS).order_by(EPOCHS.c.number.desc()).limit(1)
_BEGIN_EPOCH: Final = insert(EPOCHS)
_LATCHED: Final = select(REVOCATIONS.c.uid).where(REVOCATIONS.c.uid == bindparam("revocation")).limit(1)
_LATCH: Final = insert(REVOCATIONS)


def open_session(txn: Transaction, pin: Pin, door: Door, *, last_try: bool) -> Opened | NotNewer | Refused:
    """Open the session of a door, or give the one that this key has already.

    A second key needs newer evidence than the last session's. Without it the answer is `NotNewer`,
    and on the `last_try` the task freezes: somebody else holds the door's token.
    """
    task = txn.one(_TASK, uid=pin.uid) or _pin(txn, pin)
    if isinstance(task, Refused):
        return task
    if refusal := state_refusal(task):
        return Refused(refusal)
    if task["pod_uid"] != pin.pod_uid:
        return _frozen(txn, pin, Cause.SESSION_THEFT, "another pod claims to run this task")
    last = txn.one(_LAST_SESSION, uid=pin.uid)
    return _open(txn, task, door) if last is None else _reopen(txn, pin, task, door, last, last_try=last_try)


def _reopen(
    txn: Transaction, pin: Pin, task: Row, door: Door, last: Row, *, last_try: bool
) -> Opened | NotNewer | Refused:
    if last["thumbprint"] == door.thumbprint and last["closed_at"] is None:
        return Opened(_session(task, last), new=False)
    if _newer(door.evidence, last):
        close_session(txn, last["id"], "replaced")
        return _open(txn, task, door, replaced=last["id"])
    if last_try:
        return _frozen(txn, pin, Cause.SESSION_THEFT, "a second key without a newer door")
    return NotNewer(Evidence(last["container_id"], last["restarts"]))


def _pin(txn: Transaction, pin: Pin) -> Row | Refused:
    epoch = newest_epoch(txn)
    if epoch is not None and pin.pod_created_at < epoch.trusts_after:
        _write_pin(txn, pin)
        return _frozen(txn, pin, Cause.EPOCH, "the pod is older than this ledger: what it did is not known")
    if refusal := _no_seat(txn, pin):
        return Refused(refusal)
    return _write_pin(txn, pin)


def _no_seat(txn: Transaction, pin: Pin) -> Refusal | None:
    """Why the task has to wait: the operator lets no more start, and this holds if it did.

    A frozen task keeps its seat until it ends.
    """
    of_role = txn.one(_PRESENT, of_namespace=pin.namespace, of_role=pin.role) or {"tasks": 0}
    of_requester = txn.one(
        _PRESENT_OF, of_namespace=pin.namespace, of_role=pin.role, of_requester=pin.requested_by
    ) or {"tasks": 0}
    found = (
        (pin.seats.of_role, of_role["tasks"], f"of role {pin.role}"),
        (pin.seats.of_requester, of_requester["tasks"], f"of role {pin.role} that the same person asked for"),
    )
    for most, there, whose in found:
        if most is not None and there >= most:
            detail = f"{there} of {most} tasks {whose} are running"
            return Refusal(Code.RATE_LIMITED, detail, allowed=f"{most} tasks at the same time", ask="wait")
    return None


def _write_pin(txn: Transaction, pin: Pin) -> Row:
    row: Row = {
        "uid": pin.uid,
        "namespace": pin.namespace,
        "name": pin.name,
        "role": pin.role,
        "role_snapshot": pin.role_snapshot,
        "pod_uid": pin.pod_uid,
        "pod_name": pin.pod_name,
        "state": "live",
        "reason": None,
        "pinned_at": txn.now,
        "ended_at": None,
        "requester": pin.requested_by,
        "frozen_at": None,
        "grade": int(Grade.CALM),
        "cause": None,
        "story": None,
        "graded_until": None,
        "parent_uid": pin.parent_uid,
    }
    txn.put(_PIN, **row)
    txn.append(
        Event.TASK_PINNED,
        pin.uid,
        namespace=pin.namespace,
        name=pin.name,
        role=pin.role,
        roleDigest=digest.of_json(pin.role_snapshot),
        pod={"uid": pin.pod_uid, "name": pin.pod_name},
        requestedBy=pin.requested_by,
        image=pin.image,
        parent=pin.parent_uid,
    )
    return row


def _frozen(txn: Transaction, pin: Pin, cause: Cause, why: str) -> Refused:
    freeze(txn, pin.uid, why, cause)
    refusal = Refusal(Code.TASK_FROZEN, why, ask="a person has to look at this task")
    txn.append(Event.SESSION_REFUSED, pin.uid, code=refusal.code.value, detail=why, pod=pin.pod_uid)
    return Refused(refusal)


def _newer(evidence: Evidence, last: Row) -> bool:
    return (
        evidence.restarts > last["restarts"]
        and bool(evidence.container_id)
        and evidence.container_id != last["container_id"]
    )


def _open(txn: Transaction, task: Row, door: Door, replaced: str | None = None) -> Opened:
    row: Row = {
        "id": ids.uuid7(),
        "task_uid": task["uid"],
        "thumbprint": door.thumbprint,
        "container_id": door.evidence.container_id,
        "restarts": door.evidence.restarts,
        "peer": door.peer,
        "opened_at": txn.now,
        "closed_at": None,
        "closed_reason": None,
        "fenced_at": None,
    }
    txn.put(_OPEN, **row)
    txn.append(
        Event.SESSION_OPENED,
        task["uid"],
        session=row["id"],
        key=door.thumbprint,
        container=door.evidence.container_id,
        restarts=door.evidence.restarts,
        peer=door.peer,
        replaced=replaced,
    )
    return Opened(_session(task, row), new=True, replaced=replaced)


def _session(task: Row, row: Row) -> Session:
    return Session(
        id=row["id"],
        task_uid=task["uid"],
        namespace=task["namespace"],
        task=task["name"],
        role=task["role"],
        pod_uid=task["pod_uid"],
        thumbprint=row["thumbprint"],
        peer=row["peer"],
        opened_at=row["opened_at"],
    )


def state_refusal(task: Row) -> Refusal | None:
    """The no of a task that is not live."""
    match task["state"]:
        case "frozen":
            return Refusal(
                Code.TASK_FROZEN,
                f"the task is frozen: {task['reason']}",
                ask="a person has to look at this task",
            )
        case "ended":
            return Refusal(Code.TASK_ENDED, f"the task has ended: {task['reason']}", ask="apply a new task")
    return None


def close_session(txn: Transaction, session: str, reason: str) -> bool:
    """Close a session; false when it was closed before or never existed."""
    row = txn.one(_TASK_OF, session=session)
    if row is None or txn.run(_CLOSE, session=session, at=txn.now, reason=reason) == 0:
        return False
    txn.append(Event.SESSION_CLOSED, row["task_uid"], session=session, reason=reason)
    return True


def freeze(txn: Transaction, task_uid: str, reason: str, cause: Cause) -> bool:
    """Stop a task until a Thaw; a person decides what it was. Its session stays, so that it is told why."""
    if txn.run(_FREEZE, task=task_uid, because=reason, why=cause.value, at=txn.now) == 0:
        return False
    txn.append(Event.TASK_FROZEN, task_uid, cause=cause.value, reason=reason)
    return True


def end(txn: Transaction, task_uid: str, reason: str) -> bool:
    """End a task and close its sessions; false when it had ended or never had a session."""
    if txn.run(_END, task=task_uid, because=reason, at=txn.now) == 0:
        return False
    for row in txn.all(_OPEN_OF_TASK, uid=task_uid):
        close_session(txn, row["id"], reason)
    txn.append(Event.TASK_ENDED, task_uid, reason=reason)
    return True


def latch(txn: Transaction, uid: str, subjects: tuple[str, ...], facts: dict[str, Any]) -> bool:
    """Take a revocation in, for good. `subjects` as `revocations.subjects_of` writes them."""
    if txn.one(_LATCHED, revocation=uid) is not None:
        return False
    for subject in sorted(set(subjects)):
        txn.put(_LATCH, subject=subject, uid=uid, latched_at=txn.now)
    txn.append(Event.REVOCATION_LATCHED, None, revocation=uid, subjects=sorted(set(subjects)), **facts)
    return True


def newest_epoch(txn: Transaction) -> Epoch | None:
    """The epoch in force, if one was ever begun."""
    row = txn.one(_NEWEST_EPOCH)
    return Epoch(**row) if row else None


def begin_epoch(txn: Transaction, epoch: Epoch, replaces: str | None, facts: dict[str, Any]) -> Epoch:
    """Start an epoch. Where there was another life before, every live task freezes.

    Raises `Refusal(unavailable)` when the one in force is not `replaces`: another broker was faster.
    """
    if txn.epoch != replaces:
        raise Refusal(Code.UNAVAILABLE, "another broker began a new epoch", ask="start again")
    txn.put(
        _BEGIN_EPOCH,
        number=epoch.number,
        id=epoch.id,
        statement=epoch.statement,
        started_at=epoch.started_at,
        trusts_after=epoch.trusts_after,
    )
    txn.append(Event.EPOCH_STARTED, None, epoch=epoch.id, number=epoch.number, **facts)
    if epoch.trusts_after:
        for row in txn.all(_LIVE):
            freeze(txn, row["uid"], "the ledger began a new epoch", Cause.EPOCH)
    return epoch
