"""HTTP/1.1 with a length on every body, as the load and the upstream of this benchmark speak it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer."""

    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.head[9:12])


def split(data: bytes) -> tuple[Message, bytes] | None:
    """The first whole message and what comes after it; None while it is not all there."""
    head, gap, rest = data.partition(b"\r\n\r\n")
    if not gap:
        return None
    _, found, after = head.lower().partition(b"\r\ncontent-length:")
    size = int(after.partition(b"\r\n")[0]) if found else 0
    return (Message(head, rest[:size]), rest[size:]) if len(rest) >= size else None


class Line(asyncio.Protocol):
    """A connection that is kept; one question at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Message] | None = None

    @classmethod
    async def to(cls, port: int, tls: ssl.SSLContext | None) -> Line:
        """A new connection to this machine."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(cls, "127.0.0.1", port, ssl=tls)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._data += data
        found = split(self._data)
        if found is not None and self._answer is not None and not self._answer.done():
            message, self._data = found
            self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("hung up"))

    async def ask(self, request: bytes) -> Message:
        """Send and wait. Raises `ConnectionError` when the other side hangs up."""
        if self._transport is None:
            raise ConnectionResetError("hung up")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
