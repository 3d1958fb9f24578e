"""Identifiers that sort by time: neighbours in the index are neighbours on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def uuid7(now: Callable[[], float] = time.time, random: Callable[[int], bytes] = os.urandom) -> str:
    """A UUID version 7 (RFC 9562, 5.7) as its 36-character text."""
    milliseconds = int(now() * 1000) & ((1 << 48) - 1)
    noise = int.from_bytes(random(10), "big")
    value = (milliseconds << 80) | (0x7 << 76) | ((noise >> 68) << 64)
    value |= (0b10 << 62) | (noise & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
