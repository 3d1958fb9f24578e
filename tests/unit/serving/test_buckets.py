"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.errors import Code, Refusal
from doorward.serving import Buckets


@given(st.lists(st.floats(min_value=0, max_value=2), max_size=60))
def test_nobody_gets_more_than_burst_and_rate(gaps: list[float]) -> None:
    """However the calls are spread, at most burst + rate x time of them pass."""
    buckets, now, passed = Buckets(per_second=3, burst=5), 100.0, 0
    for gap in gaps:
        now += gap
        try:
            buckets.take("a", now)
        except Refusal:
            continue
        passed += 1

    assert passed <= 5 + 3 * (now - 100.0) + 1e-6


def test_keys_do_not_share() -> None:
    """One caller's greed is not another's."""
    buckets = Buckets(per_second=1, burst=1)
    buckets.take("a", 0.0)
    with pytest.raises(Refusal) as caught:
        buckets.take("a", 0.0)
    buckets.take("b", 0.0)

    assert caught.value.code == Code.RATE_LIMITED


def test_a_clock_that_steps_back_gives_nothing() -> None:
    """Time running backwards neither refills nor locks the bucket for ever."""
    buckets = Buckets(per_second=1, burst=1)
    buckets.take("a", 1000.0)
    with pytest.raises(Refusal):
        buckets.take("a", 0.0)

    buckets.take("a", 1.0)


def test_the_number_of_keys_is_bounded() -> None:
    """Callers that come with ever new keys cost a fixed amount of memory."""
    buckets = Buckets(per_second=1, burst=1, keys=10)
    for number in range(1000):
        buckets.take(str(number), 0.0)

    assert len(buckets._levels) == 10
