"""Signatures that need not be verified, because this process has made them a moment ago."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_MOST: Final = 4096
"""A capability is spent within a second of its decision; one that is forgotten is verified."""


class Made:
    """The latest tokens that were signed here, each known by its key and by every byte of it.

    Says no more than a verification would: that this key signed this text. Whether the key still counts,
    and what the token says, is for the reader to ask each time.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._known: dict[bytes, None] = {}
        self._most = most

    def remember(self, token: str, key: Ed25519PublicKey) -> None:
        """Keep a token that was just signed with the private half of `key`."""
        self._known[_name(token, key)] = None
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def holds(self, token: str, key: Ed25519PublicKey) -> bool:
        """Whether it is known that the signature holds."""
        return _name(token, key) in self._known


def _name(token: str, key: Ed25519PublicKey) -> bytes:
    # The key's bytes are always as many, so no two pairs are one text.
    return hashlib.sha256(key.public_bytes_raw() + token.encode()).digest()
