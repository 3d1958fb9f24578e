"""The connector's calls to the broker: keys, redemptions, outcomes."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from yarl import URL

from doorward.connectors.credentials import Credential
from doorward.connectors.wire import Reference
from doorward.core import ids, problem, strictjson
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.tokens import jwks

_MAX_ANSWER: Final = 256 * 1024
SECONDS: Final = 2.0
"""For one exchange: less than half of the time that a redemption leaves for executing."""

ATTEMPTS: Final = 3
"""How often a redemption whose answer was lost is asked for again, with the same nonce."""


@dataclass(frozen=True, slots=True)
class Redemption:
    """A capability spent by us."""

    id: str
    send_before: float
    """On `time.monotonic`: past it nothing may be sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a redemption."""

    redemption: str
    outcome: str
    """`succeeded`, `failed` or `unknown`."""
    status: int
    """HTTP status of the upstream, 0 when there was none."""
    references: tuple[Reference, ...]
    size: int
    """Bytes of the answer."""
    sent: bool
    """Whether a byte may have reached the upstream."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """What was used of `tokens` and `spend` (in millionths of the currency), where the action counts them."""

    def document(self) -> dict[str, Json]:
        """As it travels."""
        return {**self._plain(), **({"usage": dict(self.usage)} if self.usage else {})}

    def _plain(self) -> dict[str, Json]:
        return {
            "redemption": self.redemption,
            "outcome": self.outcome,
            "status": self.status,
            "references": [reference.document() for reference in self.references],
            "bytes": self.size,
            "sent": self.sent,
        }


class Broker:
    """The broker's listener for connectors."""

    def __init__(self, url: str, tls: Callable[[], ssl.SSLContext], token_file: Path) -> None:
        self._url = url
        self._tls = tls
        self._token = Credential(token_file)
        self._instance = ids.uuid7()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=32, keepalive_timeout=15),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def keys(self) -> Mapping[str, Ed25519PublicKey]:
        """The broker's public keys by id. Raises `Refusal(unavailable)`."""
        return jwks.parse_document(await self._exchange("GET", "/.well-known/jwks.json", None))

    async def redeem(self, capability: str) -> Redemption:
        """Spend the capability. Raises the broker's `Refusal`, or `unavailable` when it gave no answer.

        A lost answer is asked for again with the same nonce, which the broker answers alike; a no is
        final.
        """
        body = {"capability": capability, "instance": self._instance, "nonce": ids.uuid7()}
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                return await self._redeem(body)
        try:
            return await self._redeem(body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _silent(error) from None

    async def _redeem(self, body: Mapping[str, Json]) -> Redemption:
        started = time.monotonic()
        answer = await self._exchange("POST", "/v1/redemptions", body)
        match answer:
            case {
                "redemption": str(id_),
                "executeBy": int() | float() as until,
                "now": int() | float() as now,
            }:
                return Redemption(id_, started + until - now)
        raise Refusal(Code.UNAVAILABLE, "the broker's redemption has no id or no time")

    async def report(self, outcome: Outcome) -> None:
        """Tell the broker. Raises `Refusal`, `aiohttp.ClientError` or `TimeoutError` if it did not hear."""
        await self._exchange("POST", "/v1/outcomes", outcome.document())

    async def _exchange(self, method: str, path: str, body: Json) -> Json:
        url = URL(self._url + path, encoded=True)
        async with self._session.request(
            method,
            url,
            data=_encoded(body),
            headers=self._headers(body),
            allow_redirects=False,
            ssl=self._tls(),
        ) as response:
            data = await _bounded(response)
        document = strictjson.loads(data, max_bytes=_MAX_ANSWER) if data else None
        if response.status >= 300:
            raise problem.from_document(document, response.status)
        return document

    def _headers(self, body: Json) -> dict[str, str]:
        if body is None:
            return {}
        try:
            token = self._token.current().reveal()
        except Refusal:
            raise Refusal(Code.UNAVAILABLE, "the connector has no token for the broker") from None
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    data = b""
    while len(data) <= _MAX_ANSWER and (part := await response.content.readany()):
        data += part
    return data


def _encoded(body: Json) -> bytes | None:
    return None if body is None else json.dumps(body, separators=(",", ":")).encode()


def _silent(error: Exception) -> Refusal:
    return Refusal(
        Code.UNAVAILABLE,
        f"the broker did not answer ({type(error).__name__}); nothing was executed",
        ask="try again later",
    )
