"""Globs have one meaning."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import glob

MATCHING = [
    ("registry.example/agents/*", "registry.example/agents/fixer:1", True),
    ("registry.example/agents/*", "registry.example/agents/a/b", False),
    ("registry.example/**", "registry.example/agents/a/b", True),
    ("registry.example/**", "registry.example.evil/agents", False),
    ("acme/w?b", "acme/web", True),
    ("acme?web", "acme/web", False),
    ("", "", True),
    ("*", "", True),
    ("a", "", False),
    ("a.c", "abc", False),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHING)
def test_matches(pattern: str, text: str, *, expected: bool) -> None:
    """`*` stays within a segment, `**` crosses slashes, everything else is itself."""
    assert expected == glob.matches(pattern, text)


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=8))
def test_agrees_with_the_regular_expression(pattern: str, text: str) -> None:
    """The table gives the same answers as the textbook translation."""
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    translated = "".join(parts.get(part, part) for part in re.findall(r"\*\*|.", pattern))

    assert bool(re.fullmatch(translated, text)) == glob.matches(pattern, text)


def test_no_pattern_allows_nothing() -> None:
    """An empty list is a no."""
    assert not glob.matches_any((), "anything")
