"""What people decide by shows everything that it holds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain line, 100 %", "a plain line, 100 %"),
        ("grüße 日本", "grüße 日本"),
        ("two\nlines\tand\r", "two\\nlines\\tand\\r"),
        ("back\\slash", "back\\\\slash"),
        ("\u202egnp.exe", "\\u{202e}gnp.exe"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("\u3164", "\\u{3164}"),
        ("no\u00a0break", "no\\u{a0}break"),
        ("\x1b[2J", "\\u{1b}[2J"),
        ("\ud800", "\\u{d800}"),
        ("tag\U000e0041", "tag\\u{e0041}"),
    ],
)
def test_what_a_reader_would_not_see_is_written_out(text: str, shown: str) -> None:
    """Bidirectional controls, zero width, fillers, terminal sequences, surrogates, tags (Trojan Source)."""
    assert plain.escaped(text) == shown


@given(st.text())
def test_every_character_is_seen_and_on_one_line(text: str) -> None:
    """Whatever comes in, nothing of it has no shape, and no line of ours can be imitated."""
    shown = plain.escaped(text)

    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in shown)
    assert len(shown.splitlines()) <= 1


@given(st.text(alphabet="a\\n\nu{}0\u200b\t"), st.text(alphabet="a\\n\nu{}0\u200b\t"))
def test_different_texts_stay_different(one: str, other: str) -> None:
    """No text can pass for the escaped form of another."""
    assert (plain.escaped(one) == plain.escaped(other)) == (one == other)


@given(st.text(alphabet='a"\\\n'))
def test_a_quotation_ends_where_it_ends(text: str) -> None:
    """No quotation mark of the text's own stands without a backslash."""
    inner = plain.quoted(text)[1:-1]

    assert '"' not in inner.replace("\\\\", "").replace('\\"', "")


@given(st.text(), st.integers(0, 50))
def test_a_cut_text_says_so(text: str, most: int) -> None:
    """It keeps at most so many bytes, and its mark is bounded and names the hash of all of it."""
    shown = plain.cut(text, most)
    whole = len(text.encode("utf-8", "backslashreplace"))

    assert (shown == text) == (whole <= most)
    assert len(shown.encode("utf-8", "backslashreplace")) <= max(whole, most + plain.MARK_BYTES)


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(-10, 3000))
def test_shares_fill_the_room_and_spare_the_small(sizes: list[int], room: int) -> None:
    """Nobody gets more than needed, all together not more than there is, and the small do not pay."""
    given_ = plain.shares(sizes, room)

    assert all(0 <= share <= size for share, size in zip(given_, sizes, strict=True))
    assert sum(given_) <= max(0, room)
    assert all(
        share == size or share >= other - 1
        for share, size in zip(given_, sizes, strict=True)
        for other in given_
    )
