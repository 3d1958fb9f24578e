"""Durations as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import duration


@pytest.mark.parametrize(
    ("text", "expected"), [("45s", 45), ("30m", 1800), ("1h", 3600), ("720h", 2_592_000)]
)
def test_units(text: str, expected: int) -> None:
    """A number and a unit give seconds."""
    assert expected == duration.seconds(text)


@pytest.mark.parametrize(
    "text", ["", "0s", "1", "1d", "-1s", "1.5h", "01s", "1h30m", " 1h", "1h\n", "1000000s"]
)
def test_other_forms(text: str) -> None:
    """Whatever is not one whole number and one unit is refused with an example of the form."""
    with pytest.raises(ValueError, match=r"e\.g\. 30m"):
        duration.seconds(text)


@given(st.text(alphabet="0123456789smh d\n", max_size=8))
def test_pattern_and_reader_agree(text: str) -> None:
    """The pattern in the CRD admits exactly what the reader reads."""
    admitted = re.search(duration.PATTERN.replace("$", r"\Z"), text, re.ASCII) is not None
    try:
        duration.seconds(text)
    except ValueError:
        read = False
    else:
        read = True

    assert admitted == read
