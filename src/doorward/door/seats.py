"""How many answers a door holds at the same time: its memory is the pod's, and the agent chooses the load."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from doorward.errors import Code, Refusal
from doorward.serving import Handler, Request

SEATS: Final = 8
"""Answers of one kind at the same time. Each may be as large as a connector lets it be."""

_SEND_SECONDS: Final = 15.0
"""Time for the agent to take an answer; it keeps its seat until then."""


class Seats:
    """Lets so many requests in at once and refuses what comes beyond, before anything is asked for."""

    def __init__(self, seats: int = SEATS, send_seconds: float = _SEND_SECONDS) -> None:
        self._seats = seats
        self._send_seconds = send_seconds
        self._taken = 0

    def of(self, handler: Handler) -> Handler:
        """The handler in a seat, from its start until the last byte is out or the connection is cut.

        An answer that nobody reads is held as long as one that is being made, so the seat goes with
        it. Raises `Refusal(rate_limited)` when all are taken.
        """

        async def seated(request: Request) -> web.StreamResponse:
            self._take()
            try:
                return await self._sent(request.transport, await handler(request))
            finally:
                self._taken -= 1

        return seated

    def _take(self) -> None:
        if self._taken >= self._seats:
            raise Refusal(
                Code.RATE_LIMITED,
                "too many requests at the same time; nothing was executed",
                allowed=f"{self._seats} at the same time, until their answers are read",
                ask="wait for the answers to earlier requests",
            )
        self._taken += 1

    async def _sent(self, request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._send_seconds):
                await response.prepare(request)
                await response.write_eof()
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return response
