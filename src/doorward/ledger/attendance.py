"""What brokers of one ledger tell each other: proofs that were used, sessions, fences, signing keys.

Each keeps its own memory for speed. What must hold whichever of them a door or a connector happens to
reach is here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from sqlalchemy import and_, bindparam, delete, insert, select, update

from doorward.errors import Code, Refusal
from doorward.ledger.ahead import Wanted
from doorward.ledger.schema import PROOFS, SESSIONS, SIGNING_KEYS, TASKS
from doorward.ledger.transaction import Reads, Row, Transaction
from doorward.ledger.values import Attended, PublishedKey, Session

PROOF_SECONDS: Final = 61.0
"""How long a proof could be accepted: twice its window, and the second that clocks are cut to."""

_SESSION: Final = (
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
        SESSIONS.c.closed_at,
        SESSIONS.c.fenced_at,
        TASKS.c.role_snapshot,
        TASKS.c.state,
        TASKS.c.reason,
        TASKS.c.cause,
        TASKS.c.grade,
        TASKS.c.story,
        TASKS.c.graded_until,
    )
    .select_from(SESSIONS.join(TASKS, and_(TASKS.c.uid == SESSIONS.c.task_uid)))
    .where(SESSIONS.c.id == bindparam("session"))
)
_USED: Final = select(PROOFS.c.nonce).where(
    PROOFS.c.thumbprint == bindparam("key"), PROOFS.c.nonce == bindparam("jti")
)
_FORGET: Final = delete(PROOFS).where(PROOFS.c.expires_at < bindparam("before"))
_FENCE: Final = (
    update(SESSIONS).where(SESSIONS.c.id == bindparam("session")).values(fenced_at=bindparam("since"))
)
_KEYS: Final = select(SIGNING_KEYS).where(SIGNING_KEYS.c.expires_at > bindparam("now"))
_KNOWN_KEY: Final = select(SIGNING_KEYS).where(SIGNING_KEYS.c.kid == bindparam("key"))
_PUBLISH: Final = insert(SIGNING_KEYS)
_RENEW: Final = (
    update(SIGNING_KEYS)
    .where(SIGNING_KEYS.c.kid == bindparam("key"))
    .values(statement=bindparam("said"), expires_at=bindparam("until"))
)
_RETIRE: Final = delete(SIGNING_KEYS).where(SIGNING_KEYS.c.expires_at < bindparam("before"))


def attending(session: str, thumbprint: str, nonce: str) -> Reads:
    """What attending to a door's proof will read."""
    return lambda _: [_session(session), _used(thumbprint, nonce)]


def proving(thumbprint: str, nonce: str) -> Reads:
    """What taking a proof will read."""
    return lambda _: [_used(thumbprint, nonce)]


def _session(session: str) -> Wanted:
    return Wanted(_SESSION, {"session": session})


def _used(thumbprint: str, nonce: str) -> Wanted:
    return Wanted(_USED, {"key": thumbprint, "jti": nonce}, ((PROOFS.name, thumbprint, nonce),))


def attend(txn: Transaction, session: str, thumbprint: str, peer: str, nonce: str) -> Attended:
    """Take a door's proof for all brokers, and tell what has become of its session.

    Nothing is written for strangers. Raises `Refusal`: `session_invalid`, `proof_invalid`.
    """
    row = txn.first(_session(session))
    if row is None or (row["thumbprint"], row["peer"]) != (thumbprint, peer):
        raise Refusal(Code.SESSION_INVALID, "there is no such session of this key", ask="open a session")
    use_proof(txn, thumbprint, nonce)
    return _attended(row)


def use_proof(txn: Transaction, thumbprint: str, nonce: str) -> None:
    """Take a proof. Raises `Refusal(proof_invalid)` when any broker has."""
    if txn.first(_used(thumbprint, nonce)) is not None:
        raise Refusal(Code.PROOF_INVALID, "the proof was used before")
    txn.add(PROOFS, thumbprint=thumbprint, nonce=nonce, expires_at=txn.now + PROOF_SECONDS)


def fence(txn: Transaction, session: str, since: float) -> None:
    """Remember until when the fence of a session is known to have held, in seconds since the epoch."""
    txn.put(_FENCE, session=session, since=since)


def publish_key(txn: Transaction, kid: str, statement: str, expires_at: float) -> float:
    """Publish a signing key to all brokers, or renew it; the time at which it was published first."""
    known = txn.one(_KNOWN_KEY, key=kid)
    if known is not None:
        txn.put(_RENEW, key=kid, said=statement, until=expires_at)
        return float(known["published_at"])
    txn.put(_PUBLISH, kid=kid, statement=statement, published_at=txn.now, expires_at=expires_at)
    return txn.now


def keys(txn: Transaction) -> list[PublishedKey]:
    """What brokers have published and not let expire."""
    return [PublishedKey(**row) for row in txn.all(_KEYS, now=txn.now)]


def forget(txn: Transaction) -> None:
    """Drop what has expired."""
    txn.put(_FORGET, before=txn.now)
    txn.put(_RETIRE, before=txn.now)


def _attended(row: Row) -> Attended:
    facts = {item.name: row[item.name] for item in fields(Session)}
    return Attended(
        session=Session(**facts),
        role_snapshot=row["role_snapshot"],
        state=row["state"],
        reason=row["reason"],
        cause=row["cause"],
        grade=row["grade"],
        story=row["story"],
        graded_until=row["graded_until"],
        closed=row["closed_at"] is not None,
        fenced_at=row["fenced_at"],
    )
