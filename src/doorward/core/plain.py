"""Text that shows everything it holds: what a reader would not see is written out by its number.

For people who decide by reading: a summary must not hide a line, turn text around, or end early.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Final

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK: Final = (
    *range(0x034F, 0x0350),
    *range(0x115F, 0x1161),
    *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810),
    *range(0x2800, 0x2801),
    *range(0x3164, 0x3165),
    *range(0xFE00, 0xFE10),
    *range(0xFFA0, 0xFFA1),
    *range(0xE0100, 0xE01F0),
)
"""Letters and marks without a shape: Default_Ignorable_Code_Point, and the empty Braille cell."""
_SHAPELESS: Final = frozenset(map(chr, _BLANK))
_SHORT: Final = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def escaped(text: str) -> str:
    """The text on one line, every character in it visible; different texts stay different."""
    return "".join(_SHORT.get(char) or (f"\\u{{{ord(char):x}}}" if _unseen(char) else char) for char in text)


def quoted(text: str) -> str:
    """The text in quotation marks, none of its own among them."""
    return '"' + escaped(text).replace('"', '\\"') + '"'


def cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8, plus a mark that says how much is missing and what it hashes to."""
    whole = text.encode("utf-8", "backslashreplace")
    if len(whole) <= most:
        return text
    kept = whole[:most].decode(errors="ignore")
    missing = len(whole) - len(kept.encode())
    return f"{kept} [cut: {missing} of {len(whole)} bytes are not shown; sha256 {_sha256(whole)}]"


MARK_BYTES: Final = 160
"""What the mark of `cut` takes at most."""


def shares(sizes: list[int], room: int) -> list[int]:
    """How much each of these may take of the room: small ones all they need, large ones the same."""
    given = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda index: sizes[index])
    for place, index in enumerate(order):
        given[index] = min(sizes[index], max(0, room) // (len(order) - place))
        room -= given[index]
    return given


def _unseen(char: str) -> bool:
    category = unicodedata.category(char)
    return category in _HIDDEN or (category == "Zs" and char != " ") or char in _SHAPELESS


def _sha256(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()
