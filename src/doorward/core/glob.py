"""Globs over canonical values such as `acme/web` or `src/app/main.py`.

`?` is one character and `*` any number of them, both within a segment; `**` crosses slashes, and
`**/` at the start of a segment may also be nothing, so that `**/x` finds `x` at the top. Everything
else is itself: there are no classes, no escapes and no regular expressions. Matching walks the value
once, whatever the pattern, by stepping the set of all positions at the same time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_DEEP: Final = "**/"
_ACROSS: Final = "**"


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value fits the pattern, letter for letter."""
    return _compiled(pattern).run(value)


def matches_any(patterns: Iterable[str], value: str) -> bool:
    """Whether one of the patterns fits: for what is permitted, where a doubt means no."""
    return any(matches(pattern, value) for pattern in patterns)


def forbids(patterns: Iterable[str], value: str) -> bool:
    """Whether one of the patterns reaches the value: for what is forbidden, where a doubt means yes.

    Letter case and compatible forms of Unicode are the same here, since they are for many upstreams,
    and `auth/**` reaches the folder `auth` as well.
    """
    folded = _fold(value)
    return any(
        matches(_fold(pattern), folded) or matches(_fold(pattern).removesuffix("/**"), folded)
        for pattern in patterns
    )


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True, slots=True)
class _Machine:
    """Positions in the pattern as bits: bit n is set when the first n steps may have been taken."""

    literal: dict[str, int]
    within: int
    """Positions of `*`: stay on anything but a slash."""
    one: int
    """Positions of `?`."""
    across: int
    """Positions of `**`, and of the inside of `**/`: stay on anything."""
    leave: int
    """Positions of the inside of `**/`: a slash leads on."""
    skip: int
    """Positions that may be passed without a character."""
    jump: int
    """Positions of `**/`: may be passed together with their inside."""
    final: int

    def run(self, value: str) -> bool:
        state = self._spread(1)
        for char in value:
            step = ((state & self.literal.get(char, 0)) << 1) | (state & self.across)
            if char == "/":
                step |= (state & self.leave) << 1
            else:
                step |= ((state & self.one) << 1) | (state & self.within)
            state = self._spread(step)
            if not state:
                return False
        return bool(state & self.final)

    def _spread(self, state: int) -> int:
        while True:
            wider = state | ((state & self.skip) << 1) | ((state & self.jump) << 2)
            if wider == state:
                return state
            state = wider


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> _Machine:
    tokens = _tokens(pattern)
    literal: dict[str, int] = {}
    bits = dict.fromkeys(("within", "one", "across", "leave", "skip", "jump"), 0)
    for position, token in enumerate(tokens):
        names = _MEANING.get(token)
        if names is None:
            literal[token] = literal.get(token, 0) | 1 << position
        for name in names or ():
            bits[name] |= 1 << position
    return _Machine(literal=literal, final=1 << len(tokens), **bits)


_INSIDE: Final = "**/ inside"
_MEANING: Final = {
    "*": ("within", "skip"),
    "?": ("one",),
    _ACROSS: ("across", "skip"),
    _DEEP: ("skip", "jump"),
    _INSIDE: ("across", "leave"),
}


def _tokens(pattern: str) -> list[str]:
    found: list[str] = []
    index = 0
    while index < len(pattern):
        at_start = index == 0 or pattern[index - 1] == "/"
        if at_start and pattern.startswith(_DEEP, index):
            found += [_DEEP, _INSIDE]
            index += 3
        elif pattern.startswith(_ACROSS, index):
            found.append(_ACROSS)
            index += 2
        else:
            found.append(pattern[index])
            index += 1
    return found
