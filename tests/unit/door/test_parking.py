"""What a door keeps of requests that wait, as time goes by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.door.parking import FORGET_SECONDS, MAX_BYTES, MOST, Lot
from doorward.door.standing import OVER, Standing
from doorward.errors import Refusal

WAITS = Standing("fix-1", "pending", 0, 1, 1000)


class Now:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.at


def there(lot: Lot, id_: str) -> bool:
    """Whether a request is still known."""
    try:
        lot.find(id_)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    ("state", "until"),
    [("pending", 1000 + FORGET_SECONDS), ("active", 1000 + FORGET_SECONDS), ("denied", FORGET_SECONDS)],
)
def test_what_nobody_asks_about_is_forgotten(state: str, until: float) -> None:
    """Ten minutes after it is over, or after its Grant stops waiting."""
    now = Now()
    lot = Lot(now)
    id_ = lot.park("code", "issue.comment", {}, replace(WAITS, state=state)).id
    now.at = until - 1
    before = there(lot, id_)
    now.at = until

    assert (before, there(lot, id_)) == (True, False)


def test_what_is_over_makes_room() -> None:
    """The arguments of a finished request are gone at once, and its place when another needs it."""
    lot = Lot(Now())
    kept = [lot.park("code", "a", {"n": n}, replace(WAITS, grant=f"g-{n}")) for n in range(MOST)]
    lot.update(kept[3], replace(kept[3].standing, state="denied"))
    assert kept[3].content == b""
    lot.park("code", "a", {"n": MOST}, replace(WAITS, grant="g-new"))

    assert [there(lot, parked.id) for parked in kept] == [n != 3 for n in range(MOST)]


def test_a_grant_that_waits_anew_is_another_request() -> None:
    """What was told about the old one stays true."""
    lot = Lot(Now())
    first = lot.park("code", "a", {"n": 1}, WAITS)
    lot.update(first, replace(WAITS, state="expired"))

    assert lot.park("code", "a", {"n": 1}, WAITS).id != first.id


STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 400_000), st.sampled_from(["pending", "active", *OVER])),
    max_size=60,
)


@given(STEPS)
def test_a_lot_never_holds_more_than_it_says(steps: list[tuple[int, int, str]]) -> None:
    """Whatever is parked and however Grants end; and what is kept comes back as it was."""
    lot, known = Lot(Now()), dict[str, Any]()
    for number, size, state in steps:
        args = {"n": number, "text": "x" * size}
        try:
            parked = lot.park("code", "a", args, replace(WAITS, grant=f"g-{number}"))
        except Refusal:
            continue
        known.setdefault(parked.id, args)
        assert parked.args == known[parked.id]
        lot.update(parked, replace(parked.standing, state=state))
    held = [lot.find(id_) for id_ in known if there(lot, id_)]

    assert len(held) <= MOST
    assert sum(len(parked.content) for parked in held) <= MAX_BYTES
    assert all(parked.content == b"" for parked in held if parked.over)
