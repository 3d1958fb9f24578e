"""For programs that serve whoever started them: tell the port, and go on until they are let go of."""

from __future__ import annotations

import asyncio
import sys


async def until_ended(port: int) -> None:
    """Print the port, and wait until standard input ends."""
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
