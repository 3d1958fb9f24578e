"""Durations as people write them: `45s`, `30m`, `1h`. One unit, no sign, no fraction, no leading zero."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = r"^[1-9][0-9]{0,5}(s|m|h)$"
"""The form, as the CRDs state it."""

_FORM: Final = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """The duration in seconds. Raises `ValueError` that shows the form."""
    found = _FORM.fullmatch(text)
    if found is None:
        msg = f"{text!r} is not a duration: write a whole number and s, m or h, e.g. 30m"
        raise ValueError(msg)
    return int(found[1]) * _SECONDS[found[2]]
