"""Scrubbing what comes back: no credential leaves in any spelling, wherever an upstream echoed it.

`redact` masks what looks like a credential in text. Here whole answers are walked, known values are
masked exactly, and what is only one decoding away (base64 at any alignment, percent-encoding) is
decoded, masked and encoded again, so that a file that merely mentions a token stays readable.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from doorward.core import redact
from doorward.core.redact import MASK, Secret
from doorward.core.strictjson import Json

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-](?:[A-Za-z0-9+/_-]|\r?\n){22,}={0,2}")
_SHORTEST: Final = 23
"""Characters of the shortest text that the pattern above matches."""
_LONG: Final = re.compile(rf"[A-Za-z0-9+/_\r\n-]{{{_SHORTEST}}}")
"""In every text in which it matches, and found much faster."""
_WORD: Final = re.compile(r"[^\s\"'<>]+")
_ROUNDS: Final = 3
"""How many encodings around each other are undone."""

_URLSAFE: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Masks the given secrets and everything with the shape of a credential."""

    needles: tuple[str, ...] = ()
    """Spellings of the known secrets, longest first."""

    def json(self, value: Json) -> Json:
        """The same document with every text in it scrubbed, member names included."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(name): self.json(item) for name, item in value.items()}
        if isinstance(value, Sequence):
            return [self.json(item) for item in value]
        return value

    def text(self, value: str) -> str:
        """The same text with credentials masked in raw, base64 and percent-encoded form."""
        return self._text(value, _ROUNDS)

    def _text(self, value: str, rounds: int) -> str:
        for needle in self.needles:
            value = value.replace(needle, MASK)
        value = redact.text(value)
        if rounds == 0:
            return value
        if "%" in value:
            value = _WORD.sub(lambda found: self._percent(found[0], rounds), value)
        if len(value) < _SHORTEST or not _LONG.search(value):
            return value
        return _BASE64.sub(lambda found: self._base64(found[0], rounds), value)

    def _percent(self, encoded: str, rounds: int) -> str:
        plain = unquote(encoded, errors="surrogateescape")
        masked = self._text(plain, rounds - 1)
        return encoded if masked == plain else quote(masked, errors="surrogateescape")

    def _base64(self, encoded: str, rounds: int) -> str:
        plain = _decoded(encoded)
        masked = self._text(plain, rounds - 1)
        if masked == plain:
            return encoded
        return base64.b64encode(masked.encode("latin-1")).decode()


def scrubber(secrets: Sequence[Secret] = ()) -> Scrubber:
    """A scrubber that knows these values besides the known shapes."""
    found = {spelling for secret in secrets for spelling in _spellings(secret.reveal())}
    return Scrubber(tuple(sorted(found, key=len, reverse=True)))


def _spellings(value: str) -> set[str]:
    if not value:
        return set()
    data = value.encode()
    found = {value, quote(value, safe=""), quote_plus(value), data.hex(), data.hex().upper()}
    for before in range(3):
        core = _aligned(data, before)
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return {spelling for spelling in found if len(spelling) >= min(8, len(value))}


def _aligned(data: bytes, before: int) -> str:
    """The base64 characters that depend on `data` alone when `before` bytes stand in front of it."""
    encoded = base64.b64encode(bytes(before) + data).decode().rstrip("=")
    complete = (before + len(data)) * 8 // 6
    return encoded[-(-before * 8 // 6) : complete]


def _decoded(encoded: str) -> str:
    compact = "".join(encoded.split()).rstrip("=").translate(_URLSAFE)
    compact = compact[: len(compact) - (len(compact) % 4 == 1)]
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4)).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
