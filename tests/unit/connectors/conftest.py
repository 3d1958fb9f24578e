"""A real connector on TLS between a stand-in broker and upstreams in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from authority import Authority
from prometheus_client import CollectorRegistry
from standin import AUDIENCE, ISSUER, TOKEN, Broker, Holder
from upstream import Forge, Talk, raw
from waiting import until

from doorward import serving
from doorward.connectors.app import connector_app
from doorward.connectors.gate import Gate
from doorward.connectors.process import running_gate
from doorward.connectors.settings import Settings
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


RigOf = Callable[..., Any]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def rig_of(authority: Authority, tmp_path: Path) -> RigOf:
    """Build a rig; `upstream` replaces the forge, other arguments are settings."""

    @asynccontextmanager
    async def build(upstream: str | None = None, **changes: Any) -> AsyncIterator[Rig]:
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
            app = connector_app(gate)
            bound = await enter(serving.listening(app, "127.0.0.1", 0, certificates.context, 0.1))
            tls = serving.client_context(authority.bundle)
            http = await enter(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)))
            yield Rig(broker, forge, gate, f"https://127.0.0.1:{bound.port}", http, registry)

    return build


@pytest.fixture
def rig_facing(rig_of: RigOf, authority: Authority) -> RigOf:
    """Build a rig in front of an upstream that speaks bytes; gives rig and heads of requests."""

    @asynccontextmanager
    async def build(talk: Talk, **changes: Any) -> AsyncIterator[tuple[Rig, list[str]]]:
        tls = authority.server("raw.test").context
        async with raw(talk, tls) as (url, heads), rig_of(upstream=url, **changes) as rig:
            yield rig, heads

    return build


@pytest.fixture
async def rig(rig_of: RigOf) -> AsyncIterator[Rig]:
    async with rig_of() as built:
        yield built
