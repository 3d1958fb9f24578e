"""Counting without ever going over: a conditional update, in the same transaction as the decision.

A window slides in twelfths, and a twelfth that is partly inside counts wholly: in no stretch of
`window` seconds, wherever it begins, is more than the limit taken. Aligned windows would allow twice
the limit across their edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, func, select, update

from doorward.core.decision import Reservation
from doorward.ledger.schema import COUNTERS
from doorward.ledger.transaction import Transaction

_PARTS: Final = 12
_INNER: Final = COUNTERS.alias("inner_counters")
_TAKEN: Final = (
    select(func.coalesce(func.sum(_INNER.c.used), 0))
    .where(
        _INNER.c.key == bindparam("of_key"),
        _INNER.c.window == bindparam("of_window"),
        _INNER.c.bucket > bindparam("after"),
    )
    .scalar_subquery()
)
_RESERVE: Final = (
    update(COUNTERS)
    .where(
        COUNTERS.c.key == bindparam("of_key"),
        COUNTERS.c.window == bindparam("of_window"),
        COUNTERS.c.bucket == bindparam("of_bucket"),
        _TAKEN + bindparam("amount") <= bindparam("most"),
    )
    .values(used=COUNTERS.c.used + bindparam("amount"))
)
_USED: Final = select(_TAKEN.label("used"))
_GIVE_BACK: Final = (
    update(COUNTERS)
    .where(
        COUNTERS.c.key == bindparam("of_key"),
        COUNTERS.c.window == bindparam("of_window"),
        COUNTERS.c.bucket == bindparam("of_bucket"),
        COUNTERS.c.used >= bindparam("amount"),
    )
    .values(used=COUNTERS.c.used - bindparam("amount"))
)
_CHARGE: Final = (
    update(COUNTERS)
    .where(
        COUNTERS.c.key == bindparam("of_key"),
        COUNTERS.c.window == bindparam("of_window"),
        COUNTERS.c.bucket == bindparam("of_bucket"),
    )
    .values(used=COUNTERS.c.used + bindparam("amount"))
)
_EXPIRE: Final = delete(COUNTERS).where(COUNTERS.c.expires_at < bindparam("before"))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reservation is counted."""

    window: int
    bucket: int
    after: int
    """Only buckets that begin later belong to the window."""
    expires_at: int | None


def place(window_seconds: int | None, now: float) -> Place:
    """The counter row for this moment. Pure."""
    if not window_seconds:
        return Place(window=0, bucket=0, after=-1, expires_at=None)
    width = max(1, window_seconds // _PARTS)
    bucket = int(now) // width * width
    after = int(now) - window_seconds - width
    return Place(window_seconds, bucket, after, bucket + 2 * (window_seconds + width))


def reserve(txn: Transaction, wanted: Reservation) -> Place | None:
    """Take the room, or None when there is not enough."""
    at = place(wanted.window_seconds, _time(txn, wanted.window_seconds))
    txn.touch_counter(key=wanted.key, window=at.window, bucket=at.bucket, expires_at=at.expires_at)
    taken = txn.run(
        _RESERVE,
        of_key=wanted.key,
        of_window=at.window,
        of_bucket=at.bucket,
        after=at.after,
        amount=wanted.amount,
        most=wanted.limit,
    )
    return at if taken == 1 else None


def _time(txn: Transaction, window_seconds: int | None) -> float:
    """Time is read only where it matters: what counts for ever needs none."""
    return txn.time if window_seconds else 0.0


def used(txn: Transaction, key: str, window_seconds: int | None) -> int:
    """What is taken of a counter at this moment."""
    at = place(window_seconds, _time(txn, window_seconds))
    row = txn.one(_USED, of_key=key, of_window=at.window, after=at.after)
    return int(row["used"]) if row else 0


def give_back(txn: Transaction, key: str, window: int, bucket: int, amount: int) -> None:
    """Return what was reserved and provably not used."""
    txn.put(_GIVE_BACK, of_key=key, of_window=window, of_bucket=bucket, amount=amount)


def charge(txn: Transaction, key: str, window: int, bucket: int, amount: int) -> None:
    """Count what was used beyond what was set aside; the counter may stand above its limit then."""
    txn.put(_CHARGE, of_key=key, of_window=window, of_bucket=bucket, amount=amount)


def expire(txn: Transaction) -> int:
    """Drop the counters of windows that are over."""
    return txn.run(_EXPIRE, before=int(txn.time))
