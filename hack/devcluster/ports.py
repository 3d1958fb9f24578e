"""Ports for servers that are started in a moment."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from typing import Final

_RANGE: Final = range(15_000, 28_000)
"""Below those that systems give to whoever calls: no connection takes one before its server does."""


def free(count: int) -> list[int]:
    """Ports of loopback that nobody listens on; held open together, so that they differ."""
    found: list[socket.socket] = []
    with ExitStack() as stack:
        for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
            if len(found) == count:
                break
            with suppress(OSError):
                found.append(stack.enter_context(socket.create_server(("127.0.0.1", port))))
        return [int(one.getsockname()[1]) for one in found]
