"""`bare.py BUNDLE PART WORD...`: the path with nothing in it, for what the separation alone costs.

    bare.py BUNDLE broker CERTIFICATE KEY
    bare.py BUNDLE connector CERTIFICATE KEY BROKER_PORT UPSTREAM_PORT
    bare.py BUNDLE door BROKER_PORT CONNECTOR_PORT

The same hops in the same order as an action's, by the same HTTP library, over the same TLS and with as many
bytes on each, but each part only passes on what it got: no body is parsed, nothing is checked, signed or
recorded, and what the product says besides the comment is blanks. Prints its port.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from untilended import until_ended
from yarl import URL

from doorward.door.client import spare_memory
from doorward.serving import client_context, tls_context
from doorward.serving.answers import HEADERS

# Sizes are those of a comment's way through the product: of headers, and of bodies or what they have more.
_PROOF: Final = {"Doorward-Proof": "p" * 550}
_CAPABILITY: Final = {"Doorward-Capability": "c" * 1300}
_RECEIPT: Final = {"Doorward-Receipt": "r" * 276}
_HANDS: Final = {"Authorization": f"Bearer {'t' * 957}"}
_CREDENTIAL: Final = {"Authorization": f"token {'t' * 40}", "Accept": "application/json"}
_TO_DECIDE, _TO_ACT, _FROM_ACT = b" " * 158, b" " * 109, b" " * 400
_REDEEM, _OUTCOME = b" " * 1412, b" " * 185
_BROKER: Final = {"/v1/decisions": 1551, "/v1/redemptions": 108, "/v1/outcomes": 83}
"""Path -> bytes of the answer."""

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


@dataclass
class Hop:
    """To one other part."""

    http: aiohttp.ClientSession
    root: str

    @classmethod
    @asynccontextmanager
    async def to(cls, port: str, tls: ssl.SSLContext, limit: int) -> AsyncIterator[Hop]:
        """With what the product's clients are set to; connections are kept."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=limit, keepalive_timeout=15),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        ) as http:
            yield cls(http, f"https://127.0.0.1:{port}")

    async def post(self, target: str, body: bytes, headers: dict[str, str]) -> bytes:
        """What it is answered. Raises `aiohttp.ClientError` when that is no yes."""
        async with self.http.post(
            URL(self.root + target, encoded=True),
            data=body,
            headers={**headers, "Content-Type": "application/json"},
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            return await response.content.read()


def door(broker: Hop, connector: Hop) -> Handler:
    """Asks for the decision, then for the action."""

    async def answer(request: web.BaseRequest) -> web.Response:
        comment = await request.read()
        await broker.post("/v1/decisions", comment + _TO_DECIDE, _PROOF)
        found = await connector.post("/v1/actions", comment + _TO_ACT, {**_PROOF, **_CAPABILITY})
        return _said(found.removesuffix(_FROM_ACT), 201, _RECEIPT)

    return answer


def connector(broker: Hop, upstream: Hop) -> Handler:
    """Redeems, acts, and reports before it answers."""

    async def answer(request: web.BaseRequest) -> web.Response:
        comment = (await request.read()).removesuffix(_TO_ACT)
        await broker.post("/v1/redemptions", _REDEEM, _HANDS)
        made = await upstream.post("/api/v1/repos/acme/web/issues/7/comments", comment, _CREDENTIAL)
        await broker.post("/v1/outcomes", _OUTCOME, _HANDS)
        return _said(made + _FROM_ACT)

    return answer


async def broker(request: web.BaseRequest) -> web.Response:
    """Says yes to everything, at length."""
    await request.read()
    return _said(b" " * _BROKER[request.path])


def _said(body: bytes, status: int = 200, headers: dict[str, str] = HEADERS) -> web.Response:
    return web.Response(
        body=body, status=status, content_type="application/json", headers={**HEADERS, **headers}
    )


async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> None:
    """Until standard input ends."""
    server = web.Server(handler, access_log=None, auto_decompress=False, keepalive_timeout=30)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=tls, backlog=1024)
    await until_ended(listening.sockets[0].getsockname()[1])


async def main(trusted: ssl.SSLContext, part: str, *words: str) -> None:
    """Be one part."""
    match part, words:
        case "broker", (certificate, key):
            await serve(broker, tls_context(Path(certificate), Path(key)).context)
        case "connector", (certificate, key, before, behind):
            async with Hop.to(before, trusted, 32) as asked, Hop.to(behind, trusted, 64) as upstream:
                tls = tls_context(Path(certificate), Path(key)).context
                await serve(connector(asked, upstream), tls)
        case "door", (before, behind):
            spare_memory()
            async with Hop.to(before, trusted, 32) as asked, Hop.to(behind, trusted, 32) as hands:
                await serve(door(asked, hands))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    asyncio.run(main(client_context(Path(sys.argv[1]).read_text()), *sys.argv[2:]))
