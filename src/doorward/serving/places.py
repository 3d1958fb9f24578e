"""A listening socket that knows whose connections it has, from before their first byte.

A TLS handshake that never ends holds a buffer and a descriptor, and nothing above it has heard of the
connection yet: what bounds connections has to stand where they are accepted.
"""

from __future__ import annotations

import socket
from asyncio import sslproto
from collections.abc import Callable
from typing import Any, Final

from doorward.serving.request import Limits

TLS_BUFFER: Final = 32 * 1024
"""Bytes that each TLS connection keeps for its whole life, two records; the event loop would take 256 KiB."""


class Places(socket.socket):
    """Hangs up on whoever has as many connections as one peer may have, and on everybody when it is full."""

    limits: Limits
    held: dict[str, int]
    """Peer -> open connections, those in their handshake included."""

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises `ConnectionAbortedError` for one that was hung up on."""
        plain, address = super().accept()
        peer = str(address[0])
        if sum(self.held.values()) >= self.limits.connections or self._has_enough(peer):
            plain.close()
            raise ConnectionAbortedError("too many connections")
        self.held[peer] = self.held.get(peer, 0) + 1
        kept = _Kept(plain.family, plain.type, plain.proto, plain.detach())
        kept.over = lambda: self._leave(peer)
        return kept, address

    def _has_enough(self, peer: str) -> bool:
        return self.held.get(peer, 0) >= self.limits.connections_per_peer

    def _leave(self, peer: str) -> None:
        self.held[peer] -= 1
        if not self.held[peer]:
            del self.held[peer]


class _Kept(socket.socket):
    """A connection that gives its place back once it is closed."""

    over: Callable[[], None] | None = None

    def close(self) -> None:
        """Close; idempotent."""
        super().close()
        over, self.over = self.over, None
        if over is not None:
            over()


def bound(family: int, address: Any, limits: Limits) -> Places:
    """A bound socket for a server of one event loop. Raises `OSError` when the port is taken."""
    sslproto.SSLProtocol.max_size = min(sslproto.SSLProtocol.max_size, TLS_BUFFER)
    made = Places(family, socket.SOCK_STREAM)
    made.limits, made.held = limits, {}
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.settimeout(0)
    except OSError:
        made.close()
        raise
    return made
