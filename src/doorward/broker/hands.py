"""The listener for connectors: redemptions and outcomes. And the documents that anybody may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from doorward import serving
from doorward.broker.heartbeat import Heartbeat
from doorward.broker.redemptions import Callers, Redeemer
from doorward.core.clock import Clock
from doorward.serving import Buckets, Request, Route
from doorward.tokens import jwks
from doorward.tokens.keys import SigningKeys


@dataclass
class HandsRoutes:
    """Handlers of the listener."""

    callers: Callers
    redeemer: Redeemer
    heartbeat: Heartbeat
    keys: Callable[[], SigningKeys]
    clock: Clock
    peers: Buckets

    def routes(self) -> list[Route]:
        """What the listener serves besides the public documents."""
        return [
            Route("POST", "/v1/redemptions", self.redeem),
            Route("POST", "/v1/outcomes", self.report),
        ]

    async def redeem(self, request: Request) -> web.StreamResponse:
        """`POST /v1/redemptions`: spend a capability."""
        self.peers.take(request.peer, self.clock())
        hands = await self.callers.identify(request)
        self.heartbeat.check()
        spent = await self.redeemer.redeem(hands, request.json(), self.keys())
        self.heartbeat.check()  # the disk may have taken long: nobody acts on an answer that never came
        return serving.json(spent)

    async def report(self, request: Request) -> web.StreamResponse:
        """`POST /v1/outcomes`: what became of it. Taken also while the cluster gives no news."""
        self.peers.take(request.peer, self.clock())
        hands = await self.callers.identify(request)
        return serving.json(await self.redeemer.report(hands, request.json()))


def public_routes(issuer: str, keys: Callable[[], SigningKeys], peers: Buckets, clock: Clock) -> list[Route]:
    """`/.well-known/*`: how others verify what the broker signs. Needs no identity."""

    async def show_keys(request: Request) -> web.StreamResponse:
        peers.take(request.peer, clock())
        return serving.json(jwks.document(keys().public.values()))

    async def configuration(request: Request) -> web.StreamResponse:
        peers.take(request.peer, clock())
        return serving.json(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/.well-known/jwks.json",
                "id_token_signing_alg_values_supported": ["EdDSA"],
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
            }
        )

    return [
        Route("GET", "/.well-known/jwks.json", show_keys),
        Route("GET", "/.well-known/openid-configuration", configuration),
    ]
