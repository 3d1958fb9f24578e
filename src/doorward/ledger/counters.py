"""Counting without ever going over: what is taken is read and taken in the transaction of the decision.

Nobody else writes while it runs (see `transaction`), so that a counter is read once for a whole batch, and
what the batch takes of it is written once.

A window slides in twelfths, and a twelfth that is partly inside counts wholly: in no stretch of
`window` seconds, wherever it begins, is more than the limit taken. Aligned windows would allow twice
the limit across their edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, func, select, update

from doorward.core.decision import Reservation
from doorward.ledger.ahead import Wanted
from doorward.ledger.schema import COUNTERS
from doorward.ledger.transaction import Transaction

_PARTS: Final = 12
_USED: Final = select(func.coalesce(func.sum(COUNTERS.c.used), 0).label("used")).where(
    COUNTERS.c.key == bindparam("of_key"),
    COUNTERS.c.window == bindparam("of_window"),
    COUNTERS.c.bucket > bindparam("after"),
)
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


@dataclass(frozen=True, slots=True)
class Over:
    """A reservation that did not fit."""

    wanted: Reservation
    used: int


@lru_cache(maxsize=256)
def place(window_seconds: int | None, now: float) -> Place:
    """The counter row for this moment. Pure; a whole batch asks for the same few."""
    if not window_seconds:
        return Place(window=0, bucket=0, after=-1, expires_at=None)
    width = max(1, window_seconds // _PARTS)
    bucket = int(now) // width * width
    after = int(now) - window_seconds - width
    return Place(window_seconds, bucket, after, bucket + 2 * (window_seconds + width))


def reserve(txn: Transaction, wanted: Reservation) -> Place | None:
    """Take the room, or None when there is not enough."""
    taken = reserve_all(txn, [wanted])
    return None if isinstance(taken, Over) else taken[0]


def reserve_all(txn: Transaction, wishes: Iterable[Reservation]) -> list[Place] | Over:
    """Take the room for everything, or nothing and what did not fit."""
    wanted, together = list(wishes), Counter[tuple[str, int]]()
    for wish in wanted:
        counter = wish.key, wish.window_seconds or 0
        taken = used(txn, wish.key, wish.window_seconds) + together[counter]
        if taken + wish.amount > wish.limit:
            return Over(wish, taken)
        together[counter] += wish.amount
    places = [place(wish.window_seconds, _time(txn, wish.window_seconds)) for wish in wanted]
    for wish, at in zip(wanted, places, strict=True):
        txn.tally.take(wish.key, at.window, at.bucket, wish.amount, at.expires_at)
    return places


def _time(txn: Transaction, window_seconds: int | None) -> float:
    """Time is read only where it matters: what counts for ever needs none."""
    return txn.time if window_seconds else 0.0


def used(txn: Transaction, key: str, window_seconds: int | None) -> int:
    """What is taken of a counter at this moment."""
    window = window_seconds or 0
    known = txn.tally.known(key, window)
    if known is None:
        row = txn.first(_wanted(txn, key, window_seconds))
        known = int(row["used"]) if row else 0
        txn.tally.learn(key, window, known)
    return known


def reads(txn: Transaction, wanted: Reservation) -> Wanted:
    """What reserving it will read."""
    return _wanted(txn, wanted.key, wanted.window_seconds)


def _wanted(txn: Transaction, key: str, window_seconds: int | None) -> Wanted:
    at = place(window_seconds, _time(txn, window_seconds))
    values = {"of_key": key, "of_window": at.window, "after": at.after}
    return Wanted(_USED, values, ((COUNTERS.name,),))  # of a counter that is not known nothing waits


def give_back(txn: Transaction, key: str, window: int, bucket: int, amount: int) -> None:
    """Return what was reserved and provably not used."""
    txn.put(_GIVE_BACK, of_key=key, of_window=window, of_bucket=bucket, amount=amount)


def charge(txn: Transaction, key: str, window: int, bucket: int, amount: int) -> None:
    """Count what was used beyond what was set aside; the counter may stand above its limit then."""
    txn.put(_CHARGE, of_key=key, of_window=window, of_bucket=bucket, amount=amount)


def expire(txn: Transaction) -> int:
    """Drop the counters of windows that are over."""
    return txn.run(_EXPIRE, before=int(txn.time))
