"""`doorkeeper.py BUNDLE BROKER_URL ADDRESS`: the door of one task, in a process of its own.

It is the product's, as far as the agent, the broker and the connector can see. Only its start is played:
a fence cannot hold on the loopback device, so the report that it does is sent without a probe, every
30 seconds as doors do. The token comes on the first line of standard input; the port is printed.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from aiohappyeyeballs import addr_to_addr_infos
from attempts import once_ready, prove
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.door.broker import Broker
from doorward.door.client import spare_memory
from doorward.door.hands import Hands
from doorward.door.listener import Door, door_app
from doorward.serving import client_context, listening
from doorward.telemetry import log

_WATCH_SECONDS: Final = 30.0


def _call_from(address: str, *parts: Broker | Hands) -> None:
    """As a pod does from its own; the broker opens no session for another address than the pod's."""
    for part in parts:
        part._http.connector._local_addr_infos = addr_to_addr_infos((address, 0))  # type: ignore[union-attr]


async def _serve(broker: Broker, hands: Hands, token: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    session = await once_ready(lambda: broker.open(token))
    await prove(broker)
    async with listening(door_app(Door(session, broker, hands)), "127.0.0.1", 0) as bound:
        sys.stdout.write(f"{bound.port}\n")
        sys.stdout.flush()
        while not await _came(ended):
            await prove(broker)


async def _came(ended: asyncio.Event) -> bool:
    """Whether it came before the next report is due."""
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), _WATCH_SECONDS)
    return ended.is_set()


async def main(bundle: str, url: str, address: str) -> None:
    """Serve until standard input ends."""
    token = sys.stdin.buffer.readline().decode().strip()
    tls, key = client_context(bundle), Ed25519PrivateKey.generate()
    broker, hands = Broker(url, tls, key), Hands(tls, key)
    _call_from(address, broker, hands)
    try:
        await _serve(broker, hands, token)
    finally:
        await hands.close()
        await broker.close()


if __name__ == "__main__":
    log.configure("door", "info")
    spare_memory()
    asyncio.run(main(Path(sys.argv[1]).read_text(), *sys.argv[2:]))
