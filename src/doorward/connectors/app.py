"""The connector as a server: one action route on the gate, and nothing without a capability."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from doorward import serving
from doorward.connectors import wire
from doorward.connectors.admission import PATH, Presented
from doorward.connectors.gate import Gate
from doorward.errors import Refusal
from doorward.serving import App, Buckets, Limits, Request, Route
from doorward.tokens import capability, proof

_HANDLE_SECONDS: Final = 120.0
"""Longer than redemption, upstream and outcome together: those have their own, shorter bounds."""


def connector_app(gate: Gate, peers: Buckets) -> App:
    """The listener for doors. `peers` says how often one address may come, before a signature is read."""

    async def act(request: Request) -> web.StreamResponse:
        _let_in(gate, peers, request.peer)
        presented = Presented(
            target=request.target,
            body=request.body,
            capability=request.headers.get(capability.HEADER),
            proof=request.headers.get(proof.HEADER),
        )
        return serving.json(await gate.handle(presented))

    limits = Limits(body_bytes=wire.MAX_BODY, handle_seconds=_HANDLE_SECONDS)
    return serving.app([Route("POST", PATH, act)], limits)


def _let_in(gate: Gate, peers: Buckets, peer: str) -> None:
    try:
        peers.take(peer, gate.clock())
    except Refusal as refusal:
        gate.metrics.refused(refusal.code.value)
        raise
