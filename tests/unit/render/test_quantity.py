"""Quantities are written as the API server would store them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.render.quantity import canonical, value

CANONICAL = {
    # Seen on a real API server, 1.34.
    "1000m": "1",
    "1.5": "1500m",
    "1024Mi": "1Gi",
    "0.5": "500m",
    "500m": "500m",
    "2000Mi": "2000Mi",
    "0.5Gi": "512Mi",
    "1000": "1k",
    "0.5Ki": "512",
    "0": "0",
    "1.5Gi": "1536Mi",
}


@pytest.mark.parametrize(("given_text", "expected"), CANONICAL.items())
def test_is_written_as_the_server_writes_it(given_text: str, expected: str) -> None:
    """Each spelling becomes the stored one."""
    assert expected == canonical(given_text)


AMOUNTS = st.builds(
    lambda number, suffix: f"{number}{suffix}",
    st.integers(0, 10**6),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi"]),
)


@given(AMOUNTS)
def test_the_amount_survives(text: str) -> None:
    """Writing it differently never changes how much it is, and a second time changes nothing."""
    once = canonical(text)

    assert value(text) == value(once)
    assert once == canonical(once)


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "1 Gi", "1GI", "0x10", "½", "0.0001m", "99999999999P", "1Ei"]
)
def test_what_has_no_one_meaning_is_refused(text: str) -> None:
    """A quantity outside of the grammar never reaches a pod."""
    with pytest.raises(ValueError, match=r"quantity|thousandth"):
        canonical(text)
