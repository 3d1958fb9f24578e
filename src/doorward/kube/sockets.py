"""Connections that notice by themselves that the other end has gone.

A watch only listens: when a node or a connection table on the way is lost, nothing would ever tell it.
"""

from __future__ import annotations

import socket
from typing import Any, Final

IDLE_SECONDS: Final = 1
"""Silence after which the kernel asks the other end whether it is there, and between two questions."""
PROBES: Final = 2
"""Questions without an answer after which the connection is broken: three seconds in all."""

_OPTIONS: Final = {"TCP_KEEPIDLE": IDLE_SECONDS, "TCP_KEEPINTVL": IDLE_SECONDS, "TCP_KEEPCNT": PROBES}
"""By name, since not every system that a command line runs on has them all."""


def attentive(found: tuple[Any, ...]) -> socket.socket:
    """A socket for an address as `getaddrinfo` gives it; its reads fail once the other end is gone."""
    family, kind, protocol, *_ = found
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
