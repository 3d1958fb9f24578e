"""What an action took in the end: from the most that was set aside to what its outcome says.

Actions stay counted once they were permitted. Of what is uncertain (bytes, tokens, spend) the rest comes
back with the outcome; without one the most stays. An object is counted until somebody's outcome shows it
closed, or its own shows that it was never made.
"""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import and_, bindparam, delete, insert, select, text, update

from doorward.core.decision import Unit
from doorward.ledger import counters, grants
from doorward.ledger.ahead import Key, Wanted
from doorward.ledger.schema import CAPABILITIES, MADE, RESERVATIONS, SETTLED, UNSETTLED
from doorward.ledger.transaction import Row, Transaction
from doorward.ledger.values import Report

UNSPENT_SECONDS: Final = 60
"""How long after its expiry an unspent capability is given up, whatever small step the clock made."""

_KEPT: Final = select(RESERVATIONS).where(RESERVATIONS.c.decision == bindparam("of_decision"))
_KEPT_OF: Final = (
    select(RESERVATIONS, CAPABILITIES.c.redemption)
    .select_from(RESERVATIONS.join(CAPABILITIES, and_(CAPABILITIES.c.decision == RESERVATIONS.c.decision)))
    .where(CAPABILITIES.c.redemption == bindparam("of_redemption"))
)
_MAKE: Final = insert(MADE)
_OPEN: Final = select(MADE).where(
    MADE.c.connector == bindparam("of_connector"),
    MADE.c.place == bindparam("of_place"),
    MADE.c.kind == bindparam("of_kind"),
    MADE.c.id == bindparam("of_id"),
)
_CLOSE: Final = delete(MADE).where(
    MADE.c.decision == bindparam("of_decision"), MADE.c.key == bindparam("of_key")
)
_UNSPENT: Final = (
    select(CAPABILITIES.c.jti, CAPABILITIES.c.decision)
    .select_from(RESERVATIONS.join(CAPABILITIES, and_(CAPABILITIES.c.decision == RESERVATIONS.c.decision)))
    .where(
        text(UNSETTLED),
        CAPABILITIES.c.redemption.is_(None),
        CAPABILITIES.c.expires_at < bindparam("before"),
    )
    .limit(bindparam("most"))
)
_GIVE_UP: Final = (
    update(CAPABILITIES)
    .where(CAPABILITIES.c.jti == bindparam("of_jti"), CAPABILITIES.c.redemption.is_(None))
    .values(expires_at=0)
)


def kept(redemption: str) -> Wanted:
    """The read of what was set aside for a capability that was spent."""
    only = (CAPABILITIES.name, redemption), _of(redemption)
    return Wanted(_KEPT_OF, {"of_redemption": redemption}, only)


def _of(redemption: str) -> Key:
    return RESERVATIONS.name, redemption


def settle(txn: Transaction, spent: Row, told: Report, *, late: bool) -> None:
    """Count what the outcome says. A late one, after the most was counted, speaks of objects only."""
    for one in txn.every(kept(told.redemption)):
        if one["kind"]:
            _made(txn, spent, one, told)
        elif not late:
            _used(txn, one, told)
    if told.outcome == "succeeded":
        _closed(txn, spent, told)


def lose(txn: Transaction, redemption: str) -> None:
    """No outcome came: the most stays, and an object may exist."""
    for one in txn.every(kept(redemption)):
        if one["uncertain"]:
            _mark(txn, one)


def give_up(txn: Transaction, most: int) -> None:
    """What was set aside for capabilities that nobody spent comes back, and they never can be spent."""
    for row in txn.all(_UNSPENT, before=int(txn.now) - UNSPENT_SECONDS, most=most):
        if txn.run(_GIVE_UP, of_jti=row["jti"]) == 0:
            continue
        for one in txn.all(_KEPT, of_decision=row["decision"]):
            if one["uncertain"] or one["kind"]:
                _back(txn, one, one["amount"])


def _used(txn: Transaction, kept: Row, told: Report) -> None:
    if told.outcome == "failed" and not told.sent:
        _back(txn, kept, kept["amount"])
        grants.given_back(txn, kept["key"])
    elif kept["uncertain"]:
        _back(txn, kept, kept["uncertain"] - _actually(kept, told))


def _actually(kept: Row, told: Report) -> int:
    """What was used of the uncertain part. An answer too large to pass on is read no further."""
    most = int(kept["uncertain"])
    if kept["unit"] == Unit.BYTES:
        return min(most, told.bytes)
    return told.usage.get(kept["unit"], most)


def _back(txn: Transaction, kept: Row, amount: int) -> None:
    """Return an amount to its counter; a negative one was used beyond what was set aside."""
    place = (kept["key"], kept["window"], kept["bucket"])
    if amount > 0:
        counters.give_back(txn, *place, amount)
    elif amount < 0:
        counters.charge(txn, *place, -amount)
    _mark(txn, kept)


def _mark(txn: Transaction, kept: Row) -> None:
    names, redemption = ("decision", "key", "window"), kept.get("redemption")
    only = [_of(redemption)] if redemption else []
    txn.change(SETTLED, *only, **{name: kept[name] for name in names}, uncertain=0, kind="")


def _made(txn: Transaction, spent: Row, kept: Row, told: Report) -> None:
    """An object was made, or not. A failure made none; what is not known stays counted."""
    if told.outcome == "failed":
        _back(txn, kept, kept["amount"])
        return
    found = next((item for item in told.references if item["kind"] == kept["kind"]), None)
    if told.outcome != "succeeded" or found is None:
        return
    _mark(txn, kept)
    txn.put(
        _MAKE,
        decision=kept["decision"],
        key=kept["key"],
        connector=spent["connector"],
        place=_place(spent),
        kind=kept["kind"],
        id=str(found["id"]),
    )


def _closed(txn: Transaction, spent: Row, told: Report) -> None:
    for item in told.references:
        if item.get("state") != "closed":
            continue
        wanted = {"of_connector": spent["connector"], "of_place": _place(spent)}
        for row in txn.all(_OPEN, **wanted, of_kind=item["kind"], of_id=str(item["id"])):
            txn.put(_CLOSE, of_decision=row["decision"], of_key=row["key"])
            counters.give_back(txn, row["key"], 0, 0, 1)


def _place(spent: Row) -> str:
    return str(json.loads(spent["resource"]).get("repository", ""))
