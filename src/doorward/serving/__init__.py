"""The edge that all our servers share: one strict gate below the framework, then plain handlers.

    routes = [Route("POST", "/v1/decisions", decide), Route("GET", "/v1/actions", actions)]
    async with listening(app(routes), "0.0.0.0", 8443, tls=certificates.context):
        await stop.wait()

A handler is `async (Request) -> web.StreamResponse`: it gets the whole body, bounded, and raises
`Refusal` for a no. Every no leaves as a problem document (RFC 9457), whatever raised it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from doorward.serving.answers import empty, json, problem
from doorward.serving.app import App, app
from doorward.serving.buckets import Buckets
from doorward.serving.listener import Listener, listening, run
from doorward.serving.request import Handler, Limits, Request, Route
from doorward.serving.tls import Certificates, client_context, tls_context

if TYPE_CHECKING:
    from doorward.serving.ops import ops_listener

__all__ = [
    "App",
    "Buckets",
    "Certificates",
    "Handler",
    "Limits",
    "Listener",
    "Request",
    "Route",
    "app",
    "client_context",
    "empty",
    "json",
    "listening",
    "ops_listener",
    "problem",
    "run",
    "tls_context",
]


def __getattr__(name: str) -> object:
    """Import the metrics library when a part asks for its listener: the door, in every pod, never does."""
    if name != "ops_listener":
        raise AttributeError(name)
    from doorward.serving.ops import ops_listener  # noqa: PLC0415 - see above

    return ops_listener
