"""Spending a capability: intent and consumption in one transaction, and exactly one winner."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import and_, bindparam, select

from doorward.core import digest, ids
from doorward.errors import Code, Refusal
from doorward.ledger import attendance, counters, grants, revocations, settling
from doorward.ledger.ahead import Key, Wanted
from doorward.ledger.lineage import refusal_above
from doorward.ledger.schema import CAPABILITIES, SESSIONS, SPENT, TASKS, TOLD
from doorward.ledger.tasks import state_refusal
from doorward.ledger.transaction import Reads, Row, Transaction
from doorward.ledger.values import (
    EXECUTE_SECONDS,
    OUTCOME_SECONDS,
    Claim,
    Recorded,
    Redeemed,
    Refused,
    Report,
)
from doorward.telemetry.events import Event

_SPENDABLE: Final = (
    select(
        CAPABILITIES,
        SESSIONS.c.closed_at,
        SESSIONS.c.task_uid,
        TASKS.c.namespace,
        TASKS.c.name,
        TASKS.c.role,
        TASKS.c.state,
        TASKS.c.reason,
        TASKS.c.parent_uid,
        revocations.covering(TASKS.c.namespace, TASKS.c.name, TASKS.c.role, CAPABILITIES.c.jti).label(
            "revoked"
        ),
    )
    .select_from(
        CAPABILITIES.join(SESSIONS, and_(SESSIONS.c.id == CAPABILITIES.c.session)).join(
            TASKS, and_(TASKS.c.uid == SESSIONS.c.task_uid)
        )
    )
    .where(CAPABILITIES.c.jti == bindparam("jti"))
)
_REDEMPTION: Final = (
    select(CAPABILITIES, SESSIONS.c.task_uid)
    .select_from(CAPABILITIES.join(SESSIONS, and_(SESSIONS.c.id == CAPABILITIES.c.session)))
    .where(CAPABILITIES.c.redemption == bindparam("redemption"))
)
_OVERDUE: Final = (
    select(CAPABILITIES, SESSIONS.c.task_uid)
    .select_from(CAPABILITIES.join(SESSIONS, and_(SESSIONS.c.id == CAPABILITIES.c.session)))
    .where(
        CAPABILITIES.c.redemption.is_not(None),
        CAPABILITIES.c.outcome.is_(None),
        CAPABILITIES.c.execute_by < bindparam("before"),
    )
    .limit(bindparam("most"))
)

LOST: Final = "lost"
"""The report of an outcome that nobody sent; a late one may still replace it."""


def redeeming(claim: Claim) -> Reads:
    """What redeeming this will read, but for what few capabilities need: Grants, and tasks above."""
    return lambda _: [_spendable(claim.jti)]


def _spendable(jti: str) -> Wanted:
    return Wanted(_SPENDABLE, {"jti": jti}, (_of(jti),))


def _of(one: str) -> Key:
    """What tells a capability from others: its id, or that of its redemption."""
    return CAPABILITIES.name, one


def redeem(txn: Transaction, claim: Claim, epoch: str, *, quiet: bool = False) -> Redeemed | Refused:
    """Consume the capability for exactly this claim. A `quiet` refusal leaves no event.

    The same connector asking again with the same instance and nonce gets the same answer; everybody
    else is `replayed`. Whether the task lives and nothing is revoked is read here, not remembered.
    """
    row = txn.first(_spendable(claim.jti))
    found = _redeem(txn, row, claim, epoch)
    if isinstance(found, Refused) and not quiet:
        _tell(txn, row, claim, found.refusal)
    return found


def _redeem(txn: Transaction, row: Row | None, claim: Claim, epoch: str) -> Redeemed | Refused:
    refusal = _unspendable(txn, row, claim, epoch)
    if refusal is not None or row is None:
        return Refused(refusal or _unknown())
    return _spend(txn, row, claim) if row["redemption"] is None else _again(row, claim)


def _unspendable(txn: Transaction, row: Row | None, claim: Claim, epoch: str) -> Refusal | None:
    if claim.epoch != epoch:
        return Refusal(Code.CAPABILITY_INVALID, "the capability is from another epoch of the ledger")
    if row is None or (row["audience"], row["digest"], row["epoch"]) != (claim.audience, claim.digest, epoch):
        return _unknown()
    if refusal := state_refusal(row):
        return refusal
    if row["revoked"]:
        return Refusal(Code.REVOKED, "this was revoked")
    spent = row["redemption"] is not None
    no = None if spent or row["grant_uid"] is None else grants.standing(txn, row["grant_uid"])
    return no or refusal_above(txn, row["parent_uid"]) or _too_late(txn, row)


def _too_late(txn: Transaction, row: Row) -> Refusal | None:
    if row["closed_at"] is not None:
        return Refusal(Code.SESSION_INVALID, "the session of this capability is closed")
    if row["redemption"] is None and txn.now >= row["expires_at"]:
        return Refusal(Code.CAPABILITY_EXPIRED, "the capability has expired", ask="ask for the action again")
    return None


def _unknown() -> Refusal:
    return Refusal(Code.CAPABILITY_INVALID, "the ledger holds no such capability")


def _again(row: Row, claim: Claim) -> Redeemed | Refused:
    spent_by = (row["redeemer"], row["instance"], row["nonce"])
    if spent_by != (claim.redeemer, claim.instance, claim.nonce):
        return Refused(Refusal(Code.REPLAYED, "the capability was spent before"))
    return Redeemed(row["redemption"], row["execute_by"], None)


def _spend(txn: Transaction, row: Row, claim: Claim) -> Redeemed:
    redemption, until = ids.uuid7(), txn.now + EXECUTE_SECONDS
    txn.change(
        SPENT,
        _of(claim.jti),
        _of(redemption),
        jti=claim.jti,
        redemption=redemption,
        redeemer=claim.redeemer,
        instance=claim.instance,
        nonce=claim.nonce,
        redeemed_at=txn.now,
        execute_by=until,
    )
    event = txn.append(
        Event.CAPABILITY_REDEEMED,
        row["task_uid"],
        capability=claim.jti,
        decision=row["decision"],
        redemption=redemption,
        redeemer=claim.redeemer,
        instance=claim.instance,
        connector=row["connector"],
        action=row["action"],
        digest=row["digest"],
        grant=row["grant_uid"],
        executeBy=int(until * 1000),
    )
    return Redeemed(redemption, until, event.hash)


def _tell(txn: Transaction, row: Row | None, claim: Claim, refusal: Refusal) -> None:
    txn.append(
        Event.REDEMPTION_REFUSED,
        row["task_uid"] if row else None,
        capability=claim.jti,
        redeemer=claim.redeemer,
        instance=claim.instance,
        code=refusal.code.value,
        detail=refusal.detail,
    )


def reporting(told: Report) -> Reads:
    """What writing this down will read, but for what few outcomes need: objects, and what comes back."""
    return lambda _: [_redemption(told.redemption), settling.kept(told.redemption)]


def _redemption(redemption: str) -> Wanted:
    return Wanted(_REDEMPTION, {"redemption": redemption}, (_of(redemption),))


def report(txn: Transaction, told: Report) -> Recorded | Refused:
    """Write an outcome down; only the redeemer may. The first report stands, except over `lost`."""
    row = txn.first(_redemption(told.redemption))
    if row is None or row["redeemer"] != told.redeemer:
        return Refused(Refusal(Code.CAPABILITY_INVALID, "there is no such redemption of yours"))
    said = _digest(told)
    if row["outcome_report"] == said:
        return Recorded(row["outcome_event"], row["connector"], row["action"], new=False)
    if row["outcome_report"] not in {None, LOST}:
        return Refused(Refusal(Code.REPLAYED, "another outcome was reported before"))
    event = txn.append(
        Event.OUTCOME_REPORTED,
        row["task_uid"],
        capability=row["jti"],
        decision=row["decision"],
        redemption=told.redemption,
        connector=row["connector"],
        action=row["action"],
        outcome=told.outcome,
        status=told.status,
        references=[dict(item) for item in told.references] or None,
        bytes=told.bytes,
        sent=told.sent,
        usage=dict(told.usage) or None,
        late=row["outcome_report"] == LOST or None,
    )
    settling.settle(txn, row, told, late=row["outcome_report"] == LOST)
    _close(txn, row, event.hash, said, outcome=told.outcome, shown=_shown(told))
    return Recorded(event.hash, row["connector"], row["action"], new=True)


def _close(txn: Transaction, row: Row, event: str, said: str, **found: str | None) -> None:
    txn.change(
        TOLD,
        _of(row["jti"]),
        _of(row["redemption"]),
        redemption=row["redemption"],
        outcome_event=event,
        outcome_report=said,
        **found,
    )


def _shown(told: Report) -> str | None:
    return json.dumps([dict(item) for item in told.references]) if told.references else None


def _digest(told: Report) -> str:
    return digest.of_json(
        [
            told.outcome,
            told.status,
            [dict(item) for item in told.references],
            told.bytes,
            told.sent,
            *([dict(told.usage)] if told.usage else []),
        ]
    )


def sweep(txn: Transaction, most: int = 200) -> list[str]:
    """Redemptions whose outcome nobody sent become `unknown`; their connectors are returned.

    What was set aside for capabilities that were never spent comes back.
    """
    overdue = txn.all(_OVERDUE, before=txn.now - OUTCOME_SECONDS, most=most)
    for row in overdue:
        event = txn.append(
            Event.OUTCOME_LOST,
            row["task_uid"],
            capability=row["jti"],
            decision=row["decision"],
            redemption=row["redemption"],
            connector=row["connector"],
            action=row["action"],
        )
        settling.lose(txn, row["redemption"])
        _close(txn, row, event.hash, LOST, outcome="unknown", shown=None)
    settling.give_up(txn, most)
    counters.expire(txn)
    attendance.forget(txn)
    return [row["connector"] for row in overdue]
