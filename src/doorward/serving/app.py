"""From a parsed request to an answer: gate, route, body, handler, and a problem document for each no."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from doorward.errors import Code, Refusal
from doorward.serving import answers, guard
from doorward.serving.holding import Holding
from doorward.serving.request import Limits, Request, Route
from doorward.serving.router import Router

_LOG: Final = logging.getLogger("doorward.serving")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Observe = Callable[[str, int, float], None]
"""Called with the route's path pattern, the status and the seconds, after each answer."""


def app(routes: Sequence[Route], limits: Limits | None = None, observe: Observe | None = None) -> App:
    """A server application over `routes`; give it to `listening`."""
    return App(routes, limits or Limits(), observe)


class App:
    """Handles requests of the framework's low-level server, below which nothing of ours runs."""

    def __init__(self, routes: Sequence[Route], limits: Limits, observe: Observe | None = None) -> None:
        self._router = Router(routes)
        self._holding = Holding(limits)
        self.limits = limits
        self._observe = observe

    def server(self) -> web.Server:
        """A new low-level server; needs a running loop."""
        return _Server(self)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises, except when the connection is gone."""
        started = time.perf_counter()
        seen = _Seen()
        response = await self._answer(request, seen)
        if self._observe is not None:
            self._observe(seen.route, response.status, time.perf_counter() - started)
        return response

    async def _answer(self, request: web.BaseRequest, seen: _Seen) -> web.StreamResponse:
        try:
            return await self._dispatch(request, seen)
        except Refusal as refusal:
            return _refused(request, refusal)
        except TimeoutError:
            return _refused(request, Refusal(Code.UNAVAILABLE, "this took too long", ask="try again"))
        except Exception:  # noqa: BLE001 - the edge: whatever broke, nothing is permitted
            _LOG.exception(
                "a handler failed: %s %s", request.method, request.raw_path.partition("?")[0][:200]
            )
            return _closing(answers.problem(Refusal(Code.UNAVAILABLE, "an error of ours; it is in the log")))

    async def _dispatch(self, request: web.BaseRequest, seen: _Seen) -> web.StreamResponse:
        head = guard.Head(request.method, request.raw_path, request.version, request.headers)
        guard.check(head, self.limits)
        route, params = self._router.find(head.method, head.target.partition("?")[0])
        seen.route = route.path
        peer = peer_of(request)
        with self._holding.of(peer, _announced(request, self.limits)):
            checked = Request(
                method=head.method,
                target=head.target,
                params=params,
                headers=head.headers,
                body=await self._body(request, route),
                peer=peer,
                transport=request,
            )
            async with asyncio.timeout(self.limits.handle_seconds):
                return await route.handler(checked)

    async def _body(self, request: web.BaseRequest, route: Route) -> bytes:
        if not request.can_read_body:
            return b""
        guard.check_media_type(request.headers, route.media_type)
        if "Expect" in request.headers:
            await request.writer.write(_CONTINUE)
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                return await _read(request, self.limits)
        except TimeoutError:
            raise Refusal(Code.MALFORMED, "the body came too slowly", status=408) from None
        except (web.RequestPayloadError, ConnectionError) as error:
            raise Refusal(Code.MALFORMED, "the body is broken off") from error


def _announced(request: web.BaseRequest, limits: Limits) -> int:
    if not request.can_read_body:
        return 0
    return request.content_length or limits.body_bytes


async def _read(request: web.BaseRequest, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not request.content.at_eof():
        part = await request.content.readany()
        size += len(part)
        if size > limits.body_bytes:
            raise guard.too_large(limits)
        parts.append(part)
    return b"".join(parts)


def peer_of(request: web.BaseRequest) -> str:
    """Address of the connection's other end; empty for a socket without one."""
    name = request.transport.get_extra_info("peername") if request.transport else None
    return canonical_address(name[0]) if isinstance(name, tuple) else ""


@lru_cache(maxsize=4096)
def canonical_address(text: str) -> str:
    """One spelling per address: no zone, IPv4-mapped IPv6 as IPv4. Remembered: connections ask many times."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


class _Seen:
    """Which route a request turned out to want; bounded, so that it can be a label."""

    route = "none"


def _refused(request: web.BaseRequest, refusal: Refusal) -> web.Response:
    path = request.raw_path.partition("?")[0][:200]
    # Who comes too often would write the log at the rate it comes with; metrics count what is missing there.
    level = logging.DEBUG if refusal.code is Code.RATE_LIMITED else logging.INFO
    _LOG.log(
        level, "refused %s %s from %s: %s %s", request.method, path, peer_of(request), refusal.status, refusal
    )
    response = answers.problem(refusal)
    unread = request.can_read_body and not request.content.at_eof()
    return _closing(response) if unread or refusal.code is Code.MALFORMED else response


def _closing(response: web.Response) -> web.Response:
    response.force_close()
    return response


class _Server(web.Server):
    """Counts connections, and answers what the parser refuses with our own document."""

    def __init__(self, owner: App) -> None:
        limits = owner.limits
        super().__init__(
            owner.handle,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=limits.idle_seconds,
            lingering_time=1.0,
        )
        self.limits = limits
        self.total = 0
        self.peers: dict[str, int] = {}

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """One connection."""

    def __init__(self, server: _Server, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or hang up when the server or this peer has none left."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        peer = name[0] if isinstance(name, tuple) else ""
        counts, limits = self._server.peers, self._server.limits
        counts[peer] = counts.get(peer, 0) + 1
        self._server.total += 1
        self._peer = peer
        if self._server.total > limits.connections or counts[peer] > limits.connections_per_peer:
            _LOG.warning("hung up on %s: too many connections", peer)
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        if self._peer is not None:
            counts, peer, self._peer = self._server.peers, self._peer, None
            counts[peer] -= 1
            self._server.total -= 1
            if not counts[peer]:
                del counts[peer]
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - the parser's words echo what the client sent
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> web.StreamResponse:
        """What the parser refuses, in the one form of a no."""
        code = Code.MALFORMED if status < 500 else Code.UNAVAILABLE
        return _refused(request, Refusal(code, "the request is not well formed", status=status))
