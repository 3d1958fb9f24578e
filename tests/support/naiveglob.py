"""Globs as they are defined, with no thought for speed: the oracle of the tests."""

from __future__ import annotations


def naive(pattern: str, value: str, *, at_start: bool = True) -> bool:
    """The meaning of a glob written down with no thought for speed."""
    if not pattern:
        return not value
    if at_start and pattern.startswith("**/"):
        ends = [0] + [index + 1 for index, char in enumerate(value) if char == "/"]
        return any(naive(pattern[3:], value[end:]) for end in ends)
    if pattern.startswith("**"):
        return any(naive(pattern[2:], value[end:], at_start=False) for end in range(len(value) + 1))
    if pattern[0] == "*":
        reach = len(value.split("/", 1)[0])
        return any(naive(pattern[1:], value[end:], at_start=False) for end in range(reach + 1))
    if not value or (pattern[0] != value[0] and (pattern[0] != "?" or value[0] == "/")):
        return False
    return naive(pattern[1:], value[1:], at_start=pattern[0] == "/")
