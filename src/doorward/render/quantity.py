"""Amounts of compute in the one spelling that the API server leaves alone.

The server rewrites quantities (`1000m` to `1`, `1.5` to `1500m`, `1024Mi` to `1Gi`), so whatever is
compared with a live object must be written as it would write it. Grammar and canonical form:
k8s.io/apimachinery/pkg/api/resource/quantity.go, without exponents and without fractions of a unit
below one thousandth.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_FORM: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?", re.ASCII)
_BINARY: Final = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4, "Pi": 1024**5}
_DECIMAL: Final = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_THOUSANDTHS: Final = Fraction(1, 1000)


def canonical(text: str) -> str:
    """The spelling that the API server would store. Raises `ValueError` that shows the form."""
    amount, suffix = _parse(text)
    if amount.denominator != 1:
        return f"{amount / _THOUSANDTHS}m"
    # A binary amount below 1024 is written without a suffix, like the server does.
    units = _BINARY if suffix in _BINARY and amount >= 1024 else _DECIMAL
    return _whole(int(amount), units)


def value(text: str) -> Fraction:
    """The exact amount in base units (cores, bytes). Raises `ValueError` that shows the form."""
    return _parse(text)[0]


@lru_cache(maxsize=1024)  # every pod of a role has the same few
def _parse(text: str) -> tuple[Fraction, str]:
    found = _FORM.fullmatch(text)
    if found is None:
        msg = f"{text!r} is not a quantity: write e.g. 500m, 2 or 512Mi"
        raise ValueError(msg)
    whole, fraction, suffix = found[1], found[2] or "", found[3] or ""
    factor = _THOUSANDTHS if suffix == "m" else Fraction({**_BINARY, **_DECIMAL}.get(suffix, 1))
    amount = Fraction(int(whole + fraction), 10 ** len(fraction)) * factor
    if (amount / _THOUSANDTHS).denominator != 1 or amount >= 2**63:
        msg = f"{text!r} is finer than a thousandth or larger than 2**63"
        raise ValueError(msg)
    return amount, suffix


def _whole(amount: int, units: dict[str, int]) -> str:
    for suffix, factor in reversed(units.items()):
        if amount and amount % factor == 0:
            return f"{amount // factor}{suffix}"
    return str(amount)
