"""The broker's own sessions: what it reads for conditions is in the ledger like anybody's actions."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, insert, select

from doorward.core import ids
from doorward.ledger.schema import SESSIONS, TASKS
from doorward.ledger.transaction import Transaction
from doorward.telemetry.events import Event

BROKER: Final = "broker"
"""Stands where tasks have their UID; no UID is this. `tokens.claims` has the same word."""

_KNOWN: Final = select(TASKS.c.uid).where(TASKS.c.uid == bindparam("uid"))
_ROW: Final = (
    "uid",
    "namespace",
    "name",
    "role",
    "role_snapshot",
    "pod_uid",
    "pod_name",
    "state",
    "pinned_at",
)
_PIN: Final = insert(TASKS).values({name: bindparam(name) for name in _ROW})
_SESSION: Final = ("id", "task_uid", "thumbprint", "container_id", "restarts", "peer", "opened_at")
_OPEN: Final = insert(SESSIONS).values({name: bindparam(name) for name in _SESSION})


def open_own(txn: Transaction, thumbprint: str, namespace: str) -> str:
    """Open a session for one process of the broker; the id of it."""
    if txn.one(_KNOWN, uid=BROKER) is None:
        txn.put(
            _PIN,
            uid=BROKER,
            namespace=namespace,
            name=BROKER,
            role=BROKER,
            role_snapshot="",
            pod_uid="",
            pod_name="",
            state="live",
            pinned_at=txn.now,
        )
    session = ids.uuid7()
    txn.put(
        _OPEN,
        id=session,
        task_uid=BROKER,
        thumbprint=thumbprint,
        container_id="",
        restarts=0,
        peer="",
        opened_at=txn.now,
    )
    txn.append(Event.SESSION_OPENED, BROKER, session=session, key=thumbprint)
    return session
