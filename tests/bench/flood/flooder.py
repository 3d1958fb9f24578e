"""The agent that floods, in a process of its own: `flooder.py CA URL SESSION KEY ADDRESS CALLS SECONDS`.

Sends so many denied calls, evenly over the time, whatever comes back; prints what came back, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
from attempts import ARGS
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.door.broker import Broker as Door
from doorward.errors import Refusal
from doorward.serving import client_context

EVIL = {**ARGS, "owner": "evil"}
AT_ONCE = 64


async def pause(seconds: float) -> None:
    """Keep the pace."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def flood(door: Door, calls: int, minute: float) -> Counter[str]:
    """The codes of the answers."""
    codes: Counter[str] = Counter()
    room, began = asyncio.Semaphore(AT_ONCE), time.monotonic()

    async def call() -> None:
        try:
            await door.decide("code", "issue.comment", EVIL)
        except Refusal as refusal:
            codes[refusal.code.value] += 1
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            await room.acquire()
            group.create_task(call())
            late = began + number * minute / calls - time.monotonic()
            if late > 0:
                await pause(late)
    return codes


async def main(bundle: str, words: list[str]) -> None:
    """Flood and print."""
    url, session, key, address, calls, seconds = words
    tls = client_context(bundle)
    door = Door(url, tls, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)))
    await door._http.close()
    connector = aiohttp.TCPConnector(ssl=tls, limit=16, local_addr=(address, 0))
    door._http, door._session = aiohttp.ClientSession(connector=connector, auto_decompress=False), session
    codes = await flood(door, int(calls), float(seconds))
    await door.close()
    sys.stdout.write(json.dumps(codes))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text(), sys.argv[2:]))
