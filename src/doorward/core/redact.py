"""Secrets have a type without a useful text, and known secret shapes never reach a log."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "[redacted]"

_SHAPES: Final = re.compile(
    r"(?:ghs|ghp|gho|ghu|github_pat)_[A-Za-z0-9._-]{20,}"
    r"|eyJ(?:(?!eyJ)[A-Za-z0-9_-]){8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"  # stops at the next eyJ: linear
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=basic )|(?<=token ))"
    # Prose says `token authentication`: a digit, capitals inside or length make a word a credential.
    r"(?=[A-Za-z._~+/=-]*(?:[0-9]|[a-z][A-Z]|[A-Za-z]{16}))[A-Za-z0-9._~+/=-]{8,}"
)
_MARKS: Final = ("ghs_", "ghp_", "gho_", "ghu_", "github_pat_", "eyJ", "-----BEGIN ")
_WORDS: Final = ("bearer ", "basic ", "token ")
"""Every shape has one of the marks in it, one of the words in any case, or `://` and `@`."""


class Secret:
    """A value that only `reveal` shows; its text, repr and equality say nothing."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__


def text(value: str) -> str:
    """The same text with everything that looks like a credential masked."""
    return _SHAPES.sub(MASK, value) if _may_hold_one(value) else value


def _may_hold_one(value: str) -> bool:
    """False only where no shape can match: looking for words is far cheaper than trying at each character."""
    if not value.isascii():
        return True  # letters of other scripts count as these in another case
    for mark in _MARKS:
        if mark in value:  # generators would cost more than all of the searches
            return True
    if "@" in value and "://" in value:
        return True
    return " " in value and any(word in value.lower() for word in _WORDS)
