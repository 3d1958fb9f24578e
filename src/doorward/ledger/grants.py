"""What people are asked and what they answered. Every state is reached here, in one transaction each.

The row is written before the object is made, so that a Grant in the broker's name which the broker did
not ask for is known as such, and is bound to the object's UID afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import bindparam, case, delete, exists, func, insert, literal, or_, select, update

from doorward.core.decision import Denial
from doorward.errors import Code, Refusal
from doorward.ledger import counters, revocations
from doorward.ledger.schema import APPROVALS, GRANTS, REVOCATIONS, TASKS
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Counted, GrantRow, GrantState, Question
from doorward.telemetry.events import Event

MAX_PENDING: Final = 5
"""Questions of one task that wait for people at the same time."""
UNSPENT_SECONDS: Final = 60
"""How long after the last use was taken a capability for it may be spent."""
SWEPT: Final = 200
"""Grants that are settled in one sweep."""
_OPEN: Final = ("pending", "active")

_BY_NAME: Final = select(GRANTS).where(
    GRANTS.c.namespace == bindparam("of_namespace"), GRANTS.c.name == bindparam("of_name")
)
_BY_UID: Final = select(GRANTS).where(GRANTS.c.uid == bindparam("of_uid"))
_PENDING: Final = select(func.count().label("count")).where(
    GRANTS.c.task_uid == bindparam("of_task"),
    GRANTS.c.author == bindparam("by"),
    GRANTS.c.state == "pending",
    GRANTS.c.gone_at.is_(None),
)
_FORGET: Final = delete(GRANTS).where(
    GRANTS.c.namespace == bindparam("of_namespace"), GRANTS.c.name == bindparam("of_name")
)
_ADD: Final = insert(GRANTS)
_TURN: Final = (
    update(GRANTS)
    .where(GRANTS.c.uid == bindparam("of_uid"))
    .values(
        state=bindparam("new_state"),
        reason=bindparam("because"),
        changed_at=bindparam("at"),
        expires_at=bindparam("until"),
    )
)
_GONE: Final = (
    update(GRANTS)
    .where(GRANTS.c.uid == bindparam("of_uid"), GRANTS.c.gone_at.is_(None))
    .values(gone_at=bindparam("at"))
)
_ANSWERS: Final = (
    select(APPROVALS)
    .where(APPROVALS.c.grant_uid == bindparam("of_uid"))
    .order_by(APPROVALS.c.recorded_at, APPROVALS.c.user)
)
_DROP_ANSWER: Final = delete(APPROVALS).where(
    APPROVALS.c.grant_uid == bindparam("of_uid"), APPROVALS.c.user == bindparam("of_user")
)
_ADD_ANSWER: Final = insert(APPROVALS)


_HOME: Final = GRANTS.c.namespace + literal("/")
REVOKED: Final = exists().where(
    or_(
        REVOCATIONS.c.subject == revocations.EVERYTHING,
        REVOCATIONS.c.subject == literal("namespace:") + GRANTS.c.namespace,
        REVOCATIONS.c.subject == literal("role:") + _HOME + GRANTS.c.role,
        REVOCATIONS.c.subject == literal("task:") + _HOME + GRANTS.c.task,
        REVOCATIONS.c.subject == literal("grant:") + _HOME + GRANTS.c.name,
    )
)
"""Whether a Revocation covers the Grant of the row."""
_ENDED: Final = exists().where(TASKS.c.uid == GRANTS.c.task_uid, TASKS.c.state == "ended")
_DUE: Final = (
    select(GRANTS, case((REVOKED, 1), else_=0).label("revoked"), case((_ENDED, 1), else_=0).label("ended"))
    .where(
        or_(*(GRANTS.c.state == state for state in _OPEN)),
        GRANTS.c.uid.is_not(None),
        or_(GRANTS.c.expires_at <= bindparam("now"), REVOKED, _ENDED),
    )
    .limit(bindparam("most"))
)
_NEVER_MADE: Final = delete(GRANTS).where(GRANTS.c.uid.is_(None), GRANTS.c.expires_at <= bindparam("now"))
_COVERED: Final = select(GRANTS.c.uid).where(GRANTS.c.uid == bindparam("of_uid"), REVOKED)


def ask(txn: Transaction, question: Question) -> GrantRow | Denial:
    """The Grant to ask people with: the one there is, or room for a new one, whose object is not made yet."""
    row = txn.one(_BY_NAME, of_namespace=question.namespace, of_name=question.name)
    if row is not None and row["gone_at"] is None:
        return _whole(txn, row)
    waiting = txn.one(_PENDING, of_task=question.task_uid, by=question.author)
    if waiting is not None and waiting["count"] >= MAX_PENDING:
        return Denial(
            Code.LIMIT_EXCEEDED,
            f"{waiting['count']} questions of this task wait for people already",
            rule=question.rule,
            allowed=f"{MAX_PENDING} at a time",
            ask="wait for the people who were asked",
        )
    return _whole(txn, _add(txn, question, None, "pending", txn.now))


def take_in(txn: Transaction, uid: str, question: Question, made_at: float, *, own: bool) -> GrantRow:
    """The row of a Grant object that was seen. `own` is one in the broker's name.

    One in the broker's name must have been asked for, with this digest for this task: any other is
    stale from the first. One that a person made under the name of a question takes its quorum over
    where that is the larger.
    """
    row = txn.one(_BY_NAME, of_namespace=question.namespace, of_name=question.name)
    if row is not None and row["uid"] == uid:
        return _whole(txn, row)
    asked = row is not None and row["uid"] is None and _same(row, question)
    if row is not None and asked:
        kept = {"quorum": max(row["quorum"], question.quorum), "policy_hash": row["policy_hash"]}
        question = Question(**{**asdict(question), **kept})
    state: GrantState = "pending" if asked or not own else "stale"
    made = _add(txn, question, uid, state, made_at)
    _tell(txn, Event.GRANT_REQUESTED, made, author=made["author"], quorum=made["quorum"])
    if state == "stale":
        return _turn(txn, made, "stale", "the broker did not ask for this", Event.GRANT_STALE)
    return _whole(txn, made)


def answer(txn: Transaction, uid: str, found: Counted) -> GrantRow | None:
    """Take one person's answer in; None for a Grant that is not there.

    One `Deny` denies, also what was agreed to before. The same Approval counts once, and so does the
    same person. An answer to what is over changes nothing.
    """
    row = txn.one(_BY_UID, of_uid=uid)
    if row is None:
        return None
    before = _whole(txn, row)
    known = next((item for item in before.answers if item.user == found.user), None)
    if not _alive(row, txn.now) or txn.now >= before.expires_at or _told(known, found):
        return before
    _write_answer(txn, uid, found)
    if found.refused is not None:
        _tell(txn, Event.APPROVAL_REFUSED, row, **_words(found), code=found.refused, detail=found.refusal)
        return _whole(txn, row)
    _tell(txn, Event.APPROVAL_RECORDED, row, **_words(found))
    if found.decision == "Deny":
        return _turn(txn, row, "denied", f"{found.user} said no", Event.GRANT_DENIED, user=found.user)
    after = _whole(txn, row)
    if after.state == "pending" and len(after.approvers) >= after.quorum:
        approvers = list(after.approvers)
        return _turn(txn, row, "active", None, Event.GRANT_ACTIVATED, approvers=approvers)
    return after


def drifted(txn: Transaction, uid: str) -> GrantRow | None:
    """What people were asked about is not what is in force; None for a Grant that is not there."""
    row = txn.one(_BY_UID, of_uid=uid)
    if row is None:
        return None
    if not _alive(row, txn.now):
        return _whole(txn, row)
    return _turn(txn, row, "stale", "the policy changed after people were asked", Event.GRANT_STALE)


def gone(txn: Transaction, uid: str) -> GrantRow | None:
    """The object was deleted: what was open is taken back, and the action may be asked for anew."""
    row = txn.one(_BY_UID, of_uid=uid)
    if row is None or txn.run(_GONE, of_uid=uid, at=txn.now) == 0:
        return None
    alive = _alive(row, txn.now)
    row["gone_at"] = txn.now
    if not alive:
        return _whole(txn, row)
    return _turn(txn, row, "revoked", "the Grant was deleted", Event.GRANT_REVOKED)


def sweep(txn: Transaction) -> list[GrantRow]:
    """Settle what time, Revocations and the ends of tasks have decided; what changed."""
    txn.put(_NEVER_MADE, now=txn.now)
    return [_settle(txn, row) for row in txn.all(_DUE, now=txn.now, most=SWEPT)]


def standing(txn: Transaction, uid: str, policy_hash: str | None = None) -> Refusal | None:
    """Why this Grant lets nothing happen now, or None. Read at the decision and again when it is spent.

    With `policy_hash` it must have been asked for under this very policy, and have a use left.
    """
    row = txn.one(_BY_UID, of_uid=uid)
    if row is None or row["gone_at"] is not None or txn.one(_COVERED, of_uid=uid) is not None:
        return refusal("revoked")
    deciding = policy_hash is not None
    if row["state"] == "active" or (row["state"] == "exhausted" and not deciding):
        if txn.now >= row["expires_at"]:
            return refusal("expired")
        return refusal("stale") if deciding and row["policy_hash"] != policy_hash else None
    return refusal(row["state"])


def used(txn: Transaction, uid: str) -> None:
    """A use was reserved; the last one exhausts the Grant."""
    row = txn.one(_BY_UID, of_uid=uid)
    if row is not None and row["state"] == "active" and _uses(txn, uid) >= row["max_uses"]:
        _turn(txn, row, "exhausted", None, Event.GRANT_EXHAUSTED)


def given_back(txn: Transaction, key: str) -> None:
    """A use came back: nothing of its action was ever sent."""
    kind, _, uid = key.partition(":")
    row = txn.one(_BY_UID, of_uid=uid) if kind == "grant" else None
    if row is not None and row["state"] == "exhausted" and txn.now < row["expires_at"]:
        _turn(txn, row, "active", None, Event.GRANT_ACTIVATED, until=row["expires_at"])


def _alive(row: Row, now: float) -> bool:
    """Whether something may still happen under it; the last use may not be spent yet."""
    if row["gone_at"] is not None:
        return False
    unspent = row["state"] == "exhausted" and now < row["changed_at"] + UNSPENT_SECONDS
    return unspent or row["state"] in _OPEN


def _same(row: Row, question: Question) -> bool:
    names = ("task_uid", "rule", "connector", "action", "digest")
    return all(row[name] == getattr(question, name) for name in names)


def _told(known: Counted | None, found: Counted) -> bool:
    """Whether this says nothing new: the same object, the same yes a second time, or nothing that counts."""
    if known is None:
        return False
    if known.approval_uid == found.approval_uid:
        return True
    return not known.refused and (found.refused is not None or found.decision == known.decision)


def _add(txn: Transaction, question: Question, uid: str | None, state: GrantState, made_at: float) -> Row:
    values = asdict(question)
    row: Row = {
        **values,
        "uid": uid,
        "state": state,
        "reason": None,
        "requested_at": made_at,
        "changed_at": txn.now,
        "expires_at": made_at + values.pop("expires"),
        "gone_at": None,
    }
    del row["expires"]
    txn.put(_FORGET, of_namespace=question.namespace, of_name=question.name)
    txn.put(_ADD, **row)
    return row


def _turn(
    txn: Transaction, row: Row, state: GrantState, reason: str | None, event: Event, **facts: Any
) -> GrantRow:
    until = facts.pop("until", None) or (txn.now + row["ttl"] if state == "active" else row["expires_at"])
    txn.put(_TURN, of_uid=row["uid"], new_state=state, because=reason, at=txn.now, until=until)
    _tell(txn, event, row, reason=reason, **facts)
    return _whole(txn, row | {"state": state, "reason": reason, "changed_at": txn.now, "expires_at": until})


def _settle(txn: Transaction, row: Row) -> GrantRow:
    if row.pop("revoked"):
        row.pop("ended")
        return _turn(txn, row, "revoked", "a Revocation covers it", Event.GRANT_REVOKED)
    ended = row.pop("ended")
    unused = "nobody used it in time" if row["state"] == "active" else "nobody answered in time"
    return _turn(txn, row, "expired", "the task has ended" if ended else unused, Event.GRANT_EXPIRED)


def _write_answer(txn: Transaction, uid: str, found: Counted) -> None:
    txn.put(_DROP_ANSWER, of_uid=uid, of_user=found.user)
    values = {**asdict(found), "groups": json.dumps(found.groups), "recorded_at": txn.now}
    txn.put(_ADD_ANSWER, grant_uid=uid, **values)


def _words(found: Counted) -> dict[str, Any]:
    return {
        "user": found.user,
        "groups": list(found.groups),
        "approval": found.approval_uid,
        "decision": found.decision,
    }


def _tell(txn: Transaction, event: Event, row: Row, **facts: Any) -> None:
    names = ("namespace", "role", "rule", "connector", "action", "digest")
    about = {name: row[name] for name in names}
    txn.append(event, row["task_uid"], grant=row["uid"], name=row["name"], **about, **facts)


def _uses(txn: Transaction, uid: str) -> int:
    return counters.used(txn, f"grant:{uid}", None)


def _whole(txn: Transaction, row: Row) -> GrantRow:
    uid = row["uid"]
    found = {item.name: row[item.name] for item in fields(GrantRow) if item.name in row}
    if uid is None:
        return GrantRow(**found)
    answers = tuple(counted(item) for item in txn.all(_ANSWERS, of_uid=uid))
    return GrantRow(**found, uses=_uses(txn, uid), answers=answers)


def counted(row: Row) -> Counted:
    """The answer of a row."""
    found = {item.name: row[item.name] for item in fields(Counted)}
    return Counted(**{**found, "groups": tuple(json.loads(row["groups"]))})


_AGAIN: Final = "an approver to delete the Grant; then the action can be asked for again"
_NO: Final[Mapping[str, tuple[Code, str, str]]] = {
    "pending": (Code.APPROVAL_PENDING, "not enough people have agreed yet", "wait for them"),
    "denied": (Code.APPROVAL_DENIED, "a person said no to exactly this", "whoever denied it"),
    "expired": (Code.GRANT_EXPIRED, "the time of the Grant is over", _AGAIN),
    "stale": (Code.GRANT_STALE, "the policy changed after people were asked", _AGAIN),
    "revoked": (Code.REVOKED, "the Grant was taken back", "whoever revoked it"),
    "exhausted": (Code.LIMIT_EXCEEDED, "every use that people agreed to is taken", _AGAIN),
}


def refusal(state: str) -> Refusal:
    """The no of a Grant in a state in which it lets nothing happen."""
    code, detail, remedy = _NO[state]
    return Refusal(code, detail, ask=remedy)
