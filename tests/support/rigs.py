"""A real connector, and a real door in front of it, between a stand-in broker and a forge."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from authority import Authority
from prometheus_client import CollectorRegistry
from standin import AUDIENCE, ISSUER, TOKEN, Broker, Holder
from upstream import Forge
from waiting import until
from yarl import URL

from doorward import catalogue, serving
from doorward.connectors.app import connector_app
from doorward.connectors.gate import Gate
from doorward.connectors.process import running_gate
from doorward.connectors.settings import Settings
from doorward.door.broker import Broker as BrokerClient
from doorward.door.hands import Hands
from doorward.door.listener import Door, door_app
from doorward.serving import Buckets
from doorward.tokens import capability, proof

SECRET = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"
COMMENT = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}


@dataclass
class Rig:
    """A connector and everybody around it."""

    broker: Broker
    forge: Forge
    gate: Gate
    url: str
    http: aiohttp.ClientSession
    registry: CollectorRegistry
    broker_url: str
    holder: Holder = field(default_factory=Holder)

    def order(self, action: str = "issue.comment", **args: Any) -> tuple[bytes, str]:
        """Body and capability of a call that was decided."""
        given = args or (
            COMMENT if action == "issue.comment" else {"owner": "acme", "repo": "web", "number": 7}
        )
        body = {"connector": "code", "action": action, "args": given, "attachments": []}
        permit = self.broker.permit("code", action, given)
        return json.dumps(body).encode(), self.broker.mint(permit, self.holder.thumbprint)

    async def post(
        self, body: bytes, token: str | None, signed: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Present it; the proof is made here unless one is given. Status and document."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers[capability.HEADER] = token
            headers[proof.HEADER] = signed or self.holder.prove(body, token)
        async with self.http.post(f"{self.url}/v1/actions", data=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def act(self, action: str = "issue.comment", **args: Any) -> tuple[int, dict[str, Any]]:
        """Have a decided action carried out."""
        return await self.post(*self.order(action, **args))

    def count(self, name: str, **labels: str) -> float:
        """A metric's value, 0 when there is none."""
        return self.registry.get_sample_value(name, {"connector": "code", **labels}) or 0.0


@asynccontextmanager
async def connector_rig(
    authority: Authority, tmp_path: Path, upstream: str | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """A connector; `upstream` replaces the forge, other arguments are settings."""
    (tmp_path / "credential").write_text(SECRET + "\n")
    (tmp_path / "token").write_text(TOKEN)
    broker, forge, registry = Broker(), Forge(), CollectorRegistry()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker_url = await enter(broker.listening(authority))
        forge_url = await enter(forge.listening(authority.server("forge.test").context))
        settings = Settings(
            **{
                "connector": "code",
                "audience": AUDIENCE,
                "issuer": ISSUER,
                "upstream": upstream or forge_url,
                "upstream_ca": authority.bundle_file,
                "broker_url": broker_url,
                "ca_file": authority.bundle_file,
                "token_file": tmp_path / "token",
                "credential_file": tmp_path / "credential",
                **changes,
            }
        )
        gate = await enter(running_gate(settings, registry))
        await until(lambda: gate.keyring.keys)
        certificates = authority.server("connector.test")
        app = connector_app(gate, Buckets(settings.requests_per_second, settings.request_burst))
        bound = await enter(serving.listening(app, "127.0.0.1", 0, certificates.context, 0.1))
        tls = serving.client_context(authority.bundle)
        http = await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)))
        yield Rig(broker, forge, gate, f"https://127.0.0.1:{bound.port}", http, registry, broker_url)


@dataclass
class DoorRig:
    """A door in front of a connector rig."""

    behind: Rig
    door: Door
    port: int

    @property
    def url(self) -> str:
        """What the agent has in DOORWARD_URL."""
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Reply:
        """One request of an agent."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            headers.setdefault("Content-Type", "application/json")
        url, content = f"{self.url}{target}", None if data is None else io.BytesIO(data)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(method, URL(url, encoded=True), data=content, headers=headers) as response,
        ):
            text = await response.read()
            document = json.loads(text) if text else None
            return Reply(response.status, document, dict(response.headers))


@dataclass(frozen=True)
class Reply:
    """An answer of the door."""

    status: int
    document: Any
    headers: dict[str, str]


@asynccontextmanager
async def door_rig(
    authority: Authority, tmp_path: Path, upstream: str | None = None, **changes: Any
) -> AsyncIterator[DoorRig]:
    """A door with an open session; arguments as for `connector_rig`."""
    async with connector_rig(authority, tmp_path, upstream, **changes) as behind:
        behind.broker.connectors.append(
            {
                "name": "code",
                "type": "forge",
                "provider": "gitea",
                "catalogueHash": catalogue.load("forge").hash,
                "audience": AUDIENCE,
                "url": behind.url,
                "serverName": "connector.test",
            }
        )
        tls = serving.client_context(authority.bundle)
        broker = BrokerClient(behind.broker_url, tls, behind.holder.key)
        hands = Hands(tls, behind.holder.key)
        try:
            door = Door(await broker.open(TOKEN), broker, hands)
            async with serving.listening(door_app(door), "127.0.0.1", 0, None, 0.1) as bound:
                yield DoorRig(behind, door, bound.port)
        finally:
            await hands.close()
            await broker.close()
