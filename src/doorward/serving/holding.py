"""Memory for bodies: bounded for everybody together and for each address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from doorward.errors import Code, Refusal
from doorward.serving.request import Limits


class Holding:
    """Counts the bytes of the bodies that are being read or worked on.

    A body is counted by what it announces, before a byte of it is read: who announces much and
    sends it slowly holds no more than who sends it at once.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = 0
        self._peers: Counter[str] = Counter()

    @contextmanager
    def of(self, peer: str, size: int) -> Iterator[None]:
        """Hold `size` bytes for `peer` as long as the context lasts. Raises `Refusal(rate_limited)`."""
        limits = self._limits
        if self._all + size > limits.held_bytes or self._peers[peer] + size > limits.held_bytes_per_peer:
            raise Refusal(
                Code.RATE_LIMITED,
                "too many bodies at the same time",
                allowed=f"{limits.held_bytes_per_peer} bytes from one address",
                ask="wait for the answers to earlier requests",
            )
        self._all += size
        self._peers[peer] += size
        try:
            yield
        finally:
            self._all -= size
            self._peers[peer] -= size
            if not self._peers[peer]:
                del self._peers[peer]
