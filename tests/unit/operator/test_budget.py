"""The write budget: bursts pass, floods are spread out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from doorward_operator.budget import Bucket


def test_a_burst_passes_and_the_rest_waits() -> None:
    """Three at once, then one every half second."""
    bucket = Bucket(rate=2.0, burst=3.0)

    assert [bucket.reserve(0.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert bucket.reserve(10.0) == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_no_window_has_more_than_its_share(steps: list[float]) -> None:
    """Whoever waits as told never writes more than burst plus rate times the time passed."""
    bucket = Bucket(rate=5.0, burst=10.0)
    now, moments = 0.0, []
    for step in steps:
        now += step
        moments.append(now + bucket.reserve(now))

    for index, moment in enumerate(moments):
        within = [other for other in moments[: index + 1] if other > moment - 1.0]
        assert len(within) <= 10 + 5 + 1
