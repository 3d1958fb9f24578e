"""The door's calls to connectors: a capability, a proof, and what was decided."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from yarl import URL

from doorward.core import problem
from doorward.core.clock import Clock, system
from doorward.core.strictjson import Json, JsonObject
from doorward.door import client
from doorward.door.broker import Decision
from doorward.door.session import Connector
from doorward.errors import Code, Refusal
from doorward.tokens import capability, proof
from doorward.tokens.proof import Call

_PATH: Final = "/v1/actions"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=4)
"""Longer than all that a connector does for one action."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a connector did."""

    body: Json
    status: int
    """HTTP status of the upstream."""
    headers: Mapping[str, Json]
    base: str
    """URL of the upstream's API, which answers may mention."""
    receipt: JsonObject


class Hands:
    """All connectors of one session."""

    def __init__(self, tls: ssl.SSLContext, key: Ed25519PrivateKey, clock: Clock = system) -> None:
        self._key = key
        self._clock = clock
        self._http = client.open_session(tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def act(self, connector: Connector, action: str, args: JsonObject, decision: Decision) -> Result:
        """Have it done, once: never tried again here.

        Raises the connector's `Refusal`; `unavailable` when nothing reached it; `outcome_unknown`
        when no answer came back.
        """
        try:
            status, answer = await self._exchange(connector, action, args, decision)
        except client.NOT_SENT as error:
            refusal = Refusal(
                Code.UNAVAILABLE,
                f"the connector cannot be reached ({type(error).__name__}); nothing was executed",
                ask="ask for the action again later",
            )
        except (*client.LOST, Refusal) as error:
            refusal = _unknown(f"the connector gave no readable answer ({type(error).__name__})")
        else:
            if status < 300:
                return _result(answer, decision)
            refusal = _refused(answer, status)
        refusal.decision = decision.id
        raise refusal

    async def _exchange(
        self, connector: Connector, action: str, args: JsonObject, decision: Decision
    ) -> tuple[int, Json]:
        body = {"connector": connector.name, "action": action, "args": args, "attachments": []}
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        url = URL(connector.url.rstrip("/") + _PATH, encoded=True)
        call = Call(connector.audience, "POST", url.raw_path, data, decision.capability)
        async with self._http.post(
            url,
            data=data,
            headers={
                "Content-Type": "application/json",
                capability.HEADER: decision.capability,
                proof.HEADER: proof.sign(self._key, call, self._clock()),
            },
            timeout=_TIMEOUT,
            allow_redirects=False,
            server_hostname=connector.server_name,
        ) as response:
            return response.status, await client.read(response)


def _result(answer: Json, decision: Decision) -> Result:
    match answer:
        case {
            "result": body,
            "upstream": {"status": int(status), "headers": {} as headers, "base": str(base)},
            "receipt": {} as receipt,
        }:
            return Result(body, status, headers, base, receipt)
    refusal = _unknown("the connector's answer does not have the agreed shape")
    refusal.decision = decision.id
    raise refusal


def _refused(answer: Json, status: int) -> Refusal:
    if isinstance(answer, Mapping) and "code" in answer:
        return problem.from_document(answer, status)
    return _unknown(f"the connector answered {status} without a code")


def _unknown(detail: str) -> Refusal:
    return Refusal(
        Code.OUTCOME_UNKNOWN,
        f"{detail}; the action may have happened",
        ask="look whether it happened before asking again",
    )
