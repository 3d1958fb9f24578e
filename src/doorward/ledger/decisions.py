"""Writing decisions down: reservation, capability and event in one transaction, before the answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import and_, bindparam, select

from doorward.core import ids
from doorward.core.decision import Denial, Permit, Reservation
from doorward.core.grade import Cause
from doorward.errors import Code
from doorward.ledger import counters, grants, revocations
from doorward.ledger.ahead import Wanted
from doorward.ledger.lineage import refusal_above
from doorward.ledger.schema import CAPABILITIES, DECISIONS, RESERVATIONS, SESSIONS, TASKS
from doorward.ledger.tasks import freeze, state_refusal
from doorward.ledger.transaction import Reads, Row, Transaction
from doorward.ledger.values import Ask, Denied, Granted, GrantRow, Question, Terms
from doorward.telemetry.events import Event

MAX_TEXT: Final = 512
"""Characters of an agent's text that an event holds; the digest stands for the rest."""
_sorted: Final = json.JSONEncoder(sort_keys=True).encode
_SITUATION: Final = (
    select(
        SESSIONS.c.closed_at,
        TASKS.c.uid,
        TASKS.c.namespace,
        TASKS.c.name,
        TASKS.c.role,
        TASKS.c.state,
        TASKS.c.reason,
        TASKS.c.parent_uid,
        revocations.covering(TASKS.c.namespace, TASKS.c.name, TASKS.c.role).label("revoked"),
        *(column.label(f"earlier_{column.name}") for column in DECISIONS.columns),
    )
    .select_from(
        SESSIONS.join(TASKS, and_(TASKS.c.uid == SESSIONS.c.task_uid)).outerjoin(
            DECISIONS, and_(DECISIONS.c.session == SESSIONS.c.id, DECISIONS.c.request == bindparam("request"))
        )
    )
    .where(SESSIONS.c.id == bindparam("session"))
)
"""Everything that is read for each decision, at once."""


def reads(ask: Ask, wishes: Iterable[Reservation] = ()) -> Reads:
    """What deciding this will read."""

    def found(txn: Transaction) -> Iterator[Wanted]:
        yield _situation(ask.session, ask.request)
        for wish in wishes:
            yield counters.reads(txn, wish)

    return found


def _situation(session: str, request: str) -> Wanted:
    return Wanted(_SITUATION, {"session": session, "request": request}, ((DECISIONS.name, session, request),))


def permit(txn: Transaction, ask: Ask, found: Permit, terms: Terms) -> Granted | Denied:
    """Write a yes down, unless state, revocation or a limit turn it into a no.

    The same (session, request) gets the answer it got, whatever was asked now; with another digest
    it is refused as `malformed`.
    """
    session = txn.first(_situation(ask.session, ask.request))
    if session is None:
        return Denied("", Denial(Code.SESSION_INVALID, "there is no such session"), "")
    if earlier := _earlier(session):
        return _again(earlier, ask)
    if denial := _standing(txn, session):
        return _deny(txn, ask, session, denial, terms)
    if found.grant is not None and (no := grants.standing(txn, found.grant, found.policy_hash)):
        denial = Denial(no.code, no.detail, rule=found.rule, ask=no.ask, grant=found.grant)
        return _deny(txn, ask, session, denial, terms)
    wishes = sorted(found.reservations, key=lambda wish: (wish.key, wish.window_seconds or 0))
    taken = counters.reserve_all(txn, wishes)
    if isinstance(taken, counters.Over):
        return _deny(txn, ask, session, terms.over_limit(taken.wanted, taken.used), terms)
    granted = _grant(txn, ask, session, found, terms)
    for wanted, at in zip(wishes, taken, strict=True):
        txn.add(RESERVATIONS, **_kept(granted.decision, wanted, at))
    if found.grant is not None:
        grants.used(txn, found.grant)
    return granted


def question(txn: Transaction, session_id: str, wanted: Question) -> GrantRow | Denial:
    """Room to ask people; a no where the session gets nothing whatever they say, or too many wait."""
    session = txn.first(_situation(session_id, ""))
    if session is None:
        return Denial(Code.SESSION_INVALID, "there is no such session")
    return _standing(txn, session) or grants.ask(txn, wanted)


def _kept(decision: str, wanted: Reservation, at: counters.Place) -> Row:
    return {
        "decision": decision,
        "key": wanted.key,
        "window": at.window,
        "bucket": at.bucket,
        "amount": wanted.amount,
        "unit": wanted.unit.value,
        "uncertain": wanted.uncertain,
        "kind": wanted.kind,
    }


def deny(txn: Transaction, ask: Ask, denial: Denial, terms: Terms) -> Denied:
    """Write a no down. A task with more than `terms.max_denials` of them freezes."""
    session = txn.first(_situation(ask.session, ask.request))
    if session is None:
        return Denied("", denial, "")
    if earlier := _earlier(session):
        return Denied(earlier["id"], denial, earlier["event"])
    return _deny(txn, ask, session, _standing(txn, session) or denial, terms)


def _earlier(session: Row) -> Row | None:
    """The decision that the same request got before."""
    if session["earlier_id"] is None:
        return None
    return {column.name: session[f"earlier_{column.name}"] for column in DECISIONS.columns}


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
    if session["revoked"]:
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
    txn.add(DECISIONS, id=decision, **_row(txn, ask), capability=None, denial=said, event=event.hash)
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
    txn.add(DECISIONS, id=decision, **_row(txn, ask), capability=jti, denial=None, event=event.hash)
    txn.add(
        CAPABILITIES,
        jti=jti,
        decision=decision,
        session=ask.session,
        connector=ask.connector,
        audience=found.audience,
        action=ask.action,
        effect=found.effect.value,
        rule=found.rule,
        resource=_sorted(dict(ask.resource)),
        digest=ask.digest,
        epoch=terms.epoch,
        grant_uid=found.grant,
        issued_at=issued_at,
        expires_at=issued_at + terms.lifetime,
    )
    return Granted(decision, jti, event.hash, issued_at)


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
