"""`python -m doorward.door.canary`: what a fenced pod must not be able to reach.

Answers any TCP connection with a bare HTTP 200 and echoes any datagram, so that whoever can reach it
gets an answer. Holds nothing, reads nothing but the length of a request, and logs nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, cast

from doorward.core.settings import address

_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_SECONDS: Final = 2.0
_MAX_DATAGRAM: Final = 512


@asynccontextmanager
async def serving(host: str, port: int) -> AsyncIterator[int]:
    """Listen on TCP and UDP for as long as the context lasts; gives the port (of both)."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(_answer, host, port)
    bound: int = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(_Echo, local_addr=(host, bound))
    try:
        yield bound
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            await reader.read(_MAX_DATAGRAM)
            writer.write(_ANSWER)
            await writer.drain()
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()


class _Echo(asyncio.DatagramProtocol):
    """Sends small datagrams back; never more than came, so that it amplifies nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Echo."""
        self._transport.sendto(data[:_MAX_DATAGRAM], addr)


async def _main(host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # As the first process of a container it would not be ended by a signal that nobody handles.
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(host, port):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_main(*address(os.environ.get("DOORWARD_LISTEN", "0.0.0.0:8471"))))
