"""The fast way to the canonical form writes the same bytes as the library that follows RFC 8785."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from doorward.core import canonical


class Word(StrEnum):
    """A text that is not exactly a text."""

    ONE = "one"


class Number(IntEnum):
    """A number that is not exactly a number."""

    ONE = 1


TEXTS = st.text(st.characters(codec=None))
EDGES = st.sampled_from([2**53 - 1, 2**53, -(2**53) + 1, -(2**53)])
LEAVES = st.none() | st.booleans() | st.integers() | EDGES | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


def outcome(dumps: Any, value: Any) -> tuple[str, str]:
    """What a library writes, or how it refuses."""
    try:
        return "bytes", dumps(value).hex()
    except (ValueError, TypeError) as error:
        return type(error).__name__, str(error)


@given(VALUES)
@example({"\U0001f600": 1, "\ufb33": 2})
@example({"b": '\x7f\x1f\u2028"\\/', "a": [1.0, -0.0, 1e21, float("nan")]})
@example([Word.ONE, Number.ONE, {Word.ONE: Number.ONE}])
@example("\ud800")
@example({"\udfff": 1})
def test_both_ways_write_and_refuse_the_same(value: Any) -> None:
    """Whatever the value, a digest does not depend on which of the two wrote it."""
    assert outcome(rfc8785.dumps, value) == outcome(canonical.dumps, value)


@pytest.mark.parametrize("value", [{1: "a"}, {None: 1}, {True: 1}, {"a": {2.5: 1}}, {1, 2}, b"a", object()])
def test_what_is_no_json_is_refused(value: Any) -> None:
    """The standard library would make texts of such keys: two values would have one digest."""
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical.dumps(value)


def test_a_key_beyond_ascii_is_sorted_as_the_rfc_says() -> None:
    """By UTF-16 units, where a character of two of them comes before one of the last of one."""
    assert canonical.dumps({"\ufb33": 2, "\U0001f600": 1}) == '{"\U0001f600":1,"\ufb33":2}'.encode()
