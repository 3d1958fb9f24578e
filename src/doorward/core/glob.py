"""Globs with one meaning everywhere: `*` stays within a segment, `**` crosses slashes, `?` is one character.

Matched by a table instead of a regular expression, so that no pattern takes more than
`len(pattern) * len(text)` steps.
"""

from __future__ import annotations

from collections.abc import Iterable


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches. `?` and `*` never match a slash."""
    reached = [True] + [False] * len(text)
    for part in _parts(pattern):
        reached = _step(part, text, reached)
    return reached[-1]


def matches_any(patterns: Iterable[str], text: str) -> bool:
    """Whether at least one of the patterns matches; none never do."""
    return any(matches(pattern, text) for pattern in patterns)


def _parts(pattern: str) -> list[str]:
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        width = 2 if pattern.startswith("**", position) else 1
        parts.append(pattern[position : position + width])
        position += width
    return parts


def _step(part: str, text: str, reached: list[bool]) -> list[bool]:
    """Which prefixes of the text match after one more part."""
    if part not in {"*", "**"}:
        single = [
            before and (character == part or (part == "?" and character != "/"))
            for before, character in zip(reached, text, strict=False)
        ]
        return [False, *single]
    after = [reached[0]]
    for before, character in zip(reached[1:], text, strict=True):
        after.append(before or (after[-1] and (part == "**" or character != "/")))
    return after
