"""A wire to the API server that can go dead for chosen requests while every connection stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from doorward.kube.access import Access


@dataclass
class Wire:
    """Forwards bytes; what the server says to a held request is kept until the wire is whole again."""

    behind: Access
    held: Callable[[str], bool] = lambda _: False
    """Judges the first request line of a connection."""
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the server said something that was kept."""
    access: Access = field(init=False)
    """The way to the server through the wire."""

    def cut(self, held: Callable[[str], bool]) -> None:
        """From now on nothing comes back on connections that began with such a request line."""
        self.held = held
        self.stalled.clear()
        self.whole.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end leaves."""
        server = urlsplit(self.behind.server)
        try:
            line = await reader.readline()
            up_reader, up_writer = await asyncio.open_connection(
                server.hostname, server.port, ssl=self.behind.tls
            )
        except OSError:
            writer.close()
            return
        up_writer.write(line)
        both = [
            asyncio.ensure_future(self._forward(reader, up_writer)),
            asyncio.ensure_future(self._back(line.decode(), up_reader, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            up_writer.close()
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)

    async def _back(self, line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                if self.held(line) and not self.whole.is_set():
                    self.stalled.set()
                    await self.whole.wait()
                writer.write(piece)


@asynccontextmanager
async def wire(behind: Access) -> AsyncIterator[Wire]:
    """A wire to an API server, whole until it is cut."""
    made, open_ones = Wire(behind), set[asyncio.Task[None]]()
    made.whole.set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(made.carry(reader, writer))
        open_ones.add(task)
        task.add_done_callback(open_ones.discard)
        await asyncio.wait({task})

    listening = await asyncio.start_server(carry, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    made.access = Access(f"http://127.0.0.1:{port}", behind.tls, behind.credentials)
    try:
        yield made
    finally:
        listening.close()
        for task in list(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
