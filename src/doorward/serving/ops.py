"""The plain listener for the platform: `/metrics`, `/livez`, `/readyz`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from doorward.serving.answers import HEADERS
from doorward.serving.app import App, app
from doorward.serving.listener import Listener, listening
from doorward.serving.request import Limits, Request, Route

PORT: Final = 9090

Ready = Callable[[], Sequence[str]]
"""What this process still waits for; empty when it is ready."""


def ops_app(registry: CollectorRegistry, ready: Ready) -> App:
    """Metrics and probes. Nothing here needs or gives an identity."""

    async def metrics(_: Request) -> web.Response:
        body = generate_latest(registry)
        return web.Response(body=body, headers={**HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: Request) -> web.Response:
        return _text(200, "ok")

    async def readyz(_: Request) -> web.Response:
        waiting = ready()
        return _text(503, "\n".join(waiting)) if waiting else _text(200, "ok")

    routes = [Route("GET", f"/{handler.__name__}", handler) for handler in (metrics, livez, readyz)]
    return app(routes, Limits(body_bytes=0, connections=100, connections_per_peer=32))


def ops_listener(
    registry: CollectorRegistry,
    ready: Ready,
    host: str = "0.0.0.0",  # noqa: S104 - the platform probes from outside the pod
    port: int = PORT,
) -> AbstractAsyncContextManager[Listener]:
    """A context that serves metrics and probes for as long as it lasts."""
    return listening(ops_app(registry, ready), host, port)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers=HEADERS)
