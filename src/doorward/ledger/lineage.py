"""Tasks that tasks start: counted before they are made, and worth nothing without those above them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert, select

from doorward.core.decision import Reservation
from doorward.errors import Code, Refusal
from doorward.ledger import counters, revocations
from doorward.ledger.schema import CHILDREN, TASKS
from doorward.ledger.tasks import state_refusal
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Birth, Crowded
from doorward.telemetry.events import Event

_GENERATIONS: Final = 8
"""More than any role allows: a longer line is a broken ledger."""
_TASK: Final = select(TASKS).where(TASKS.c.uid == bindparam("uid"))
_EARLIER: Final = select(CHILDREN).where(
    CHILDREN.c.parent_uid == bindparam("parent"), CHILDREN.c.request == bindparam("of_request")
)
_KEEP: Final = insert(CHILDREN)


def refusal_above(txn: Transaction, parent_uid: str | None) -> Refusal | None:
    """Why a task gets nothing because of those above it: one has ended, is frozen or was revoked."""
    for _ in range(_GENERATIONS):
        if parent_uid is None:
            return None
        row = txn.one(_TASK, uid=parent_uid)
        if row is None:
            break
        if refusal := _refusal(txn, row):
            return refusal
        parent_uid = row["parent_uid"]
    return Refusal(Code.TASK_ENDED, "a task above this one is not known", ask="apply a new task")


def _refusal(txn: Transaction, row: Row) -> Refusal | None:
    if refusal := state_refusal(row):
        return Refusal(refusal.code, f"of the task {row['name']} above this one: {refusal.detail}")
    if revocations.revoked(txn, row["namespace"], row["name"], row["role"]):
        return Refusal(Code.REVOKED, f"the task {row['name']} above this one was revoked")
    return None


def start(txn: Transaction, birth: Birth, room: Reservation) -> Birth | Crowded:
    """Take room for a child and write it down; asking again under the same id gives the same child.

    Raises `Refusal`: `malformed` for another child under a known id, or what those above stand for.
    """
    earlier = txn.one(_EARLIER, parent=birth.parent_uid, of_request=birth.request)
    if earlier is not None:
        return _again(earlier, birth)
    if refusal := refusal_above(txn, birth.parent_uid):
        raise refusal
    if counters.reserve(txn, room) is None:
        return Crowded(counters.used(txn, room.key, room.window_seconds))
    txn.put(_KEEP, parent_uid=birth.parent_uid, request=birth.request, name=birth.name, digest=birth.digest)
    txn.append(
        Event.TASK_DELEGATED,
        birth.parent_uid,
        request=birth.request,
        child=birth.name,
        role=birth.role,
        digest=birth.digest,
    )
    return birth


def _again(earlier: Row, birth: Birth) -> Birth:
    if (earlier["name"], earlier["digest"]) != (birth.name, birth.digest):
        raise Refusal(
            Code.MALFORMED, "this request id was used for another task", allowed="a new id for each request"
        )
    return birth
