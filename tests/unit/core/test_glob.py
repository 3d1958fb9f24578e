"""Globs decide what a rule reaches, so they have one plain meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naiveglob import naive

from doorward.core import glob

PATTERNS = st.lists(st.sampled_from(["a", "b", "/", "?", "*", "**", "**/", "A"]), max_size=8).map("".join)
VALUES = st.text(alphabet="abA/.", max_size=9)


@given(PATTERNS, VALUES)
def test_says_what_the_definition_says(pattern: str, value: str) -> None:
    """The fast walk and the plain definition never differ."""
    assert naive(pattern, value) == glob.matches(pattern, value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_plain_text_matches_itself_only(pattern: str, value: str) -> None:
    """Without `*` and `?` a glob is equality: no character has a meaning of its own."""
    plain = pattern.replace("*", "").replace("?", "")

    assert (plain == value) == glob.matches(plain, value)


@given(st.lists(PATTERNS, max_size=4), VALUES)
def test_what_is_matched_is_also_forbidden(patterns: list[str], value: str) -> None:
    """Forbidding reaches at least as far as allowing."""
    assert glob.forbids(patterns, value) or not glob.matches_any(patterns, value)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("acme/*", "acme/web", True),
        ("acme/*", "acme/web/x", False),
        ("acme/*", "acme-evil/web", False),
        ("acme/*", "ACME/web", False),
        ("src/**", "src/a/b.py", True),
        ("src/**", "src", False),
        ("**/*.pem", "key.pem", True),
        ("**/*.pem", "a/b/key.pem", True),
        ("**/.env", "x.env", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ab", False),
        ("v?", "v1", True),
        ("v?", "v/", False),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
        ("", "", True),
        ("*", "", True),
    ],
)
def test_examples(pattern: str, value: str, expected: bool) -> None:
    """What role authors rely on."""
    assert expected == glob.matches(pattern, value)


@pytest.mark.parametrize("value", [".github/x", ".GITHUB/x", ".Github", ".github/\uff21", ".\uff47ithub/x"])
def test_forbidding_ignores_case_and_form(value: str) -> None:
    """Another spelling of a forbidden place is forbidden, and so is the folder itself."""
    assert glob.forbids([".github/**"], value)


def test_no_pattern_is_slow() -> None:
    """The pattern that makes backtracking matchers hang is answered by one walk over the value."""
    assert not glob.matches("*a" * 100 + "b", "a" * 1000)
