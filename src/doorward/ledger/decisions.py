"""Writing decisions down: reservation, capability and event in one transaction, before the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, bindparam, insert, select

from doorward.core import ids
from doorward.core.decision import Denial, Permit, Reservation
from doorward.core.grade import Cause
from doorward.errors import Code
from doorward.ledger import counters, grants, revocations
from doorward.ledger.lineage import refusal_above
from doorward.ledger.schema import CAPABILITIES, DECISIONS, RESERVATIONS, SESSIONS, TASKS
from doorward.ledger.tasks import freeze, state_refusal
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Ask, Denied, Granted, GrantRow, Question, Terms
from doorward.telemetry.events import Event

MAX_TEXT: Final = 512
"""Characters of an agent's text that an event holds; the digest stands for the rest."""

_EARLIER: Final = select(DECISIONS).where(
    DECISIONS.c.session == bindparam("session"), DECISIONS.c.request == bindparam("request")
)
_SESSION: Final = (
    select(
        SESSIONS.c.closed_at,
        TASKS.c.uid,
        TASKS.c.namespace,
        TASKS.c.name,
        TASKS.c.role,
        TASKS.c.state,
        TASKS.c.reason,
        TASKS.c.parent_uid,
    )
    .select_from(SESSIONS.join(TASKS, and_(TASKS.c.uid == SESSIONS.c.task_uid)))
    .where(SESSIONS.c.id == bindparam("session"))
)
_DECIDE: Final = insert(DECISIONS)
_ISSUE: Final = insert(CAPABILITIES)
_KEEP: Final = insert(RESERVATIONS)


def permit(txn: Transaction, ask: Ask, found: Permit, terms: Terms) -> Granted | Denied:
    """Write a yes down, unless state, revocation or a limit turn it into a no.

    The same (session, request) gets the answer it got, whatever was asked now; with another digest
    it is refused as `malformed`.
    """
    session = txn.one(_SESSION, session=ask.session)
    if session is None:
        return Denied("", Denial(Code.SESSION_INVALID, "there is no such session"), "")
    if earlier := txn.one(_EARLIER, session=ask.session, request=ask.request):
        return _again(earlier, ask)
    if denial := _standing(txn, session):
        return _deny(txn, ask, session, denial, terms)
    if found.grant is not None and (no := grants.standing(txn, found.grant, found.policy_hash)):
        denial = Denial(no.code, no.detail, rule=found.rule, ask=no.ask, grant=found.grant)
        return _deny(txn, ask, session, denial, terms)
    mark = txn.savepoint()
    taken = _reserve(txn, found.reservations)
    if isinstance(taken, _Over):
        txn.rollback_to(mark)
        return _deny(txn, ask, session, terms.over_limit(taken.wanted, taken.used), terms)
    txn.release()
    granted = _grant(txn, ask, session, found, terms)
    for kept in taken:
        txn.put(_KEEP, decision=granted.decision, **kept)
    if found.grant is not None:
        grants.used(txn, found.grant)
    return granted


def question(txn: Transaction, session_id: str, wanted: Question) -> GrantRow | Denial:
    """Room to ask people; a no where the session gets nothing whatever they say, or too many wait."""
    session = txn.one(_SESSION, session=session_id)
    if session is None:
        return Denial(Code.SESSION_INVALID, "there is no such session")
    return _standing(txn, session) or grants.ask(txn, wanted)


@dataclass(frozen=True, slots=True)
class _Over:
    """A reservation that did not fit."""

    wanted: Reservation
    used: int


def _reserve(txn: Transaction, wishes: Iterable[Reservation]) -> list[Row] | _Over:
    """Take everything, in one order for everybody, or say what did not fit."""
    kept: list[Row] = []
    for wanted in sorted(wishes, key=lambda wish: (wish.key, wish.window_seconds or 0)):
        at = counters.reserve(txn, wanted)
        if at is None:
            return _Over(wanted, counters.used(txn, wanted.key, wanted.window_seconds))
        kept.append(
            {
                "key": wanted.key,
                "window": at.window,
                "bucket": at.bucket,
                "amount": wanted.amount,
                "unit": wanted.unit.value,
                "uncertain": wanted.uncertain,
                "kind": wanted.kind,
            }
        )
    return kept


def deny(txn: Transaction, ask: Ask, denial: Denial, terms: Terms) -> Denied:
    """Write a no down. A task with more than `terms.max_denials` of them freezes."""
    session = txn.one(_SESSION, session=ask.session)
    if session is None:
        return Denied("", denial, "")
    earlier = txn.one(_EARLIER, session=ask.session, request=ask.request)
    if earlier is not None:
        return Denied(earlier["id"], denial, earlier["event"])
    return _deny(txn, ask, session, _standing(txn, session) or denial, terms)


def _again(earlier: Row, ask: Ask) -> Granted | Denied:
    if earlier["digest"] != ask.digest:
        denial = Denial(
            Code.MALFORMED, "this request id was used for another action", allowed="a new id for each request"
        )
        return Denied(earlier["id"], denial, earlier["event"])
    if earlier["capability"] is None:
        fields = json.loads(earlier["denial"])
        denial = Denial(**{**fields, "code": Code(fields["code"])})
        return Denied(earlier["id"], denial, earlier["event"])
    return Granted(earlier["id"], earlier["capability"], earlier["event"], int(earlier["decided_at"]))


def _standing(txn: Transaction, session: Row) -> Denial | None:
    """Why nobody of this session gets anything, whatever the action."""
    refusal = state_refusal(session)
    if refusal is not None:
        return Denial(refusal.code, refusal.detail, ask=refusal.ask)
    if session["closed_at"] is not None:
        return Denial(Code.SESSION_INVALID, "the session is closed")
    if revocations.revoked(txn, session["namespace"], session["name"], session["role"]):
        return Denial(Code.REVOKED, "the task was revoked", ask="a person has to apply a new task")
    above = refusal_above(txn, session["parent_uid"])
    return Denial(above.code, above.detail, ask=above.ask) if above else None


def _deny(txn: Transaction, ask: Ask, session: Row, denial: Denial, terms: Terms) -> Denied:
    if terms.quiet:
        return Denied("", denial, "")
    decision = ids.uuid7()
    event = txn.append(
        Event.ACTION_DENIED,
        session["uid"],
        decision=decision,
        code=denial.code.value,
        rule=denial.rule,
        detail=denial.detail[:MAX_TEXT],
        grant=denial.grant,
        **_facts(ask, session),
    )
    said = json.dumps(_bounded(denial))
    txn.put(_DECIDE, id=decision, **_row(txn, ask), capability=None, denial=said, event=event.hash)
    return Denied(decision, denial, event.hash, _count(txn, session["uid"], 1, terms.max_denials))


def add_denials(
    txn: Transaction, task_uid: str, codes: Mapping[str, int], between: tuple[float, float], most: int
) -> bool:
    """Write noes down that were only counted, as one event; true when they were too many and it froze."""
    since, until = (int(at * 1000) for at in between)
    count = sum(codes.values())
    txn.append(Event.ACTION_DENIED, task_uid, count=count, codes=dict(codes), since=since, until=until)
    return _count(txn, task_uid, count, most)


def _count(txn: Transaction, task_uid: str, count: int, most: int) -> bool:
    room = counters.reserve(txn, Reservation(denials_of(task_uid), most, count))
    return room is None and freeze(txn, task_uid, f"more than {most} denials", Cause.DENIALS)


def denials_of(task_uid: str) -> str:
    """The counter of a task's denials."""
    return f"denials:task:{task_uid}"


def _bounded(denial: Denial) -> dict[str, str]:
    """A no may quote what the agent sent: of that only the beginning is kept."""
    texts = {name: getattr(denial, name) for name in ("code", "detail", "rule", "allowed", "ask", "grant")}
    return {name: text[:MAX_TEXT] for name, text in texts.items() if text is not None}


def _grant(txn: Transaction, ask: Ask, session: Row, found: Permit, terms: Terms) -> Granted:
    decision, jti, issued_at = ids.uuid7(), ids.uuid7(), int(txn.now)
    event = txn.append(
        Event.ACTION_PERMITTED,
        session["uid"],
        decision=decision,
        capability=jti,
        rule=found.rule,
        policy=found.policy_hash,
        grant=found.grant,
        approvers=list(found.approvers) or None,
        audience=found.audience,
        epoch=terms.epoch,
        **_facts(ask, session),
    )
    txn.put(_DECIDE, id=decision, **_row(txn, ask), capability=jti, denial=None, event=event.hash)
    txn.put(
        _ISSUE,
        **_BLANK,
        jti=jti,
        decision=decision,
        session=ask.session,
        connector=ask.connector,
        audience=found.audience,
        action=ask.action,
        effect=found.effect.value,
        rule=found.rule,
        resource=json.dumps(dict(ask.resource), sort_keys=True),
        digest=ask.digest,
        epoch=terms.epoch,
        grant_uid=found.grant,
        issued_at=issued_at,
        expires_at=issued_at + terms.lifetime,
    )
    return Granted(decision, jti, event.hash, issued_at)


_BLANK: Final = {
    "redemption": None,
    "redeemer": None,
    "instance": None,
    "nonce": None,
    "redeemed_at": None,
    "execute_by": None,
    "outcome": None,
    "outcome_event": None,
    "outcome_report": None,
    "shown": None,
}


def _row(txn: Transaction, ask: Ask) -> Row:
    return {"session": ask.session, "request": ask.request, "digest": ask.digest, "decided_at": txn.now}


def _facts(ask: Ask, session: Row) -> dict[str, Any]:
    return {
        "session": ask.session,
        "request": ask.request,
        "namespace": session["namespace"],
        "role": session["role"],
        "connector": ask.connector[:MAX_TEXT],
        "action": ask.action[:MAX_TEXT],
        "effect": ask.effect,
        "digest": ask.digest,
        "resource": {
            name: value[:MAX_TEXT] if isinstance(value, str) else value
            for name, value in ask.resource.items()
        },
        "attachments": [dict(item) for item in ask.attachments] or None,
        "behalf": ask.behalf,
    }
