"""The door's calls to the broker, each signed by the session's key."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from doorward.core import ids
from doorward.core.clock import Clock, system
from doorward.core.strictjson import Json, JsonObject
from doorward.door import client, session, standing
from doorward.door.fence import Sighting
from doorward.door.session import Canary, Session
from doorward.door.standing import Standing
from doorward.errors import Code, Refusal
from doorward.tokens import proof
from doorward.tokens.proof import Call

AUDIENCE: Final = "doorward-broker"
NOTHING: Final[JsonObject] = MappingProxyType({})
_TIMEOUT: Final = aiohttp.ClientTimeout(total=8, connect=3)


@dataclass(frozen=True, slots=True)
class Decision:
    """A yes of the broker."""

    id: str
    capability: str


class Broker:
    """The broker as one door sees it."""

    def __init__(self, url: str, tls: ssl.SSLContext, key: Ed25519PrivateKey, clock: Clock = system) -> None:
        self._url = URL(url, encoded=True)
        self._key = key
        self._clock = clock
        self._http = client.open_session(tls)
        self._session: str | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def open(self, token: str) -> Session:
        """Open the session. Raises the broker's `Refusal`, or `unavailable` when there is no answer."""
        opened = session.read(await self._ask("POST", "/v1/sessions", {"token": token}))
        self._session = opened.id
        return opened

    async def canaries(self) -> tuple[Canary, ...]:
        """The canaries and whether they live now. Raises `Refusal`."""
        return session.canaries(await self._ask("GET", "/v1/canaries"))

    async def report_fence(self, sightings: Sequence[Sighting]) -> None:
        """Tell what the probes found; one that got through freezes the task. Raises `Refusal`."""
        await self._ask("POST", "/v1/fence", {"probes": [sighting.document() for sighting in sightings]})

    async def actions(self) -> Json:
        """The actions that exist for this task. Raises `Refusal`."""
        return await self._ask("GET", "/v1/actions")

    async def grant(self, name: str, wait: int) -> Standing:
        """How a Grant of this task stands, after `wait` seconds or once that changes. Raises `Refusal`."""
        path = f"/v1/grants/{quote(name, safe='')}?wait={wait}"
        patience = aiohttp.ClientTimeout(total=wait + 8, connect=3)
        return standing.read(await self._ask("GET", path, limits=patience))

    async def children(self) -> Json:
        """The tasks that this task has started. Raises `Refusal`."""
        return await self._ask("GET", "/v1/tasks")

    async def start_child(self, child: JsonObject) -> Json:
        """Start a task. Raises the broker's `Refusal`; asked once more where the answer was lost."""
        return await self._ask_twice("/v1/tasks", {**child, "request": ids.uuid7()})

    async def decide(
        self, connector: str, action: str, args: JsonObject, claim: JsonObject = NOTHING
    ) -> Decision:
        """Ask for one action. Raises the broker's `Refusal`, or `unavailable`: then nothing was executed.

        `claim` is what the agent says besides: its reason, or its escalation. A no that waits for
        people is a `Pending`. A decision whose answer was lost is asked for once more under the same
        request id, which the broker answers alike.
        """
        body: Json = {
            "request": ids.uuid7(),
            "connector": connector,
            "action": action,
            "args": args,
            "attachments": [],
            **claim,
        }
        match await self._ask_twice("/v1/decisions", body):
            case {"decision": str(id_), "capability": str(capability)}:
                return Decision(id_, capability)
        raise Refusal(Code.UNAVAILABLE, "the broker's decision does not have the agreed shape")

    async def _ask_twice(self, path: str, body: Json) -> Json:
        """For what carries its request id, under which the broker answers alike."""
        try:
            return await self._exchange("POST", path, body)
        except client.LOST:
            return await self._ask("POST", path, body)

    async def _ask(
        self, method: str, path: str, body: Json = None, limits: aiohttp.ClientTimeout = _TIMEOUT
    ) -> Json:
        try:
            return await self._exchange(method, path, body, limits)
        except client.LOST as error:
            raise Refusal(
                Code.UNAVAILABLE,
                f"the broker does not answer ({type(error).__name__}); nothing was executed",
                ask="try again later",
            ) from None

    async def _exchange(
        self, method: str, path: str, body: Json, limits: aiohttp.ClientTimeout = _TIMEOUT
    ) -> Json:
        data = b"" if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        signed = proof.sign(self._key, Call(AUDIENCE, method, path, data), self._clock(), self._session)
        headers = {proof.HEADER: signed, **({"Content-Type": "application/json"} if data else {})}
        async with self._http.request(
            method,
            self._url.join(URL(path, encoded=True)),
            data=data or None,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
        ) as response:
            answer = await client.read(response)
        if response.status >= 300:
            raise standing.refused(answer, response.status)
        return answer
