"""Listening, and ending well: SIGTERM stops the listening, what runs is finished, then we go."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from doorward.serving.app import App
from doorward.serving.places import Places, bound

HANDSHAKE_SECONDS: Final = 5.0
DRAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Listener:
    """An open port."""

    host: str
    port: int
    """The real one, where 0 was asked for."""
    server: web.Server
    places: Places
    """Who is connected."""


@asynccontextmanager
async def listening(
    app: App,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> AsyncIterator[Listener]:
    """Serve `app` for as long as the context lasts; leaving it drains.

    Raises `OSError` when the port is taken.
    """
    handler = app.server()
    timeout = HANDSHAKE_SECONDS if tls is not None else None
    loop = asyncio.get_running_loop()
    (family, _, _, _, address), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = bound(family, address, app.limits)
    server = await loop.create_server(
        handler,
        sock=places,
        ssl=tls,
        ssl_handshake_timeout=timeout,
        backlog=1024,
    )
    try:
        name = places.getsockname()
        yield Listener(host=name[0], port=name[1], server=handler, places=places)
    finally:
        server.close()
        handler.pre_shutdown()
        await handler.shutdown(drain_seconds)
        await server.wait_closed()


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a process: `main` gets an event that SIGTERM and SIGINT set, and returns to end."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    asyncio.run(supervised())
