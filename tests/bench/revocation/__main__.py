"""`just bench-revocation`: how long after the write of a Revocation something of it is still redeemed.

A real API server, a broker in a process of its own, a connector that redeems one capability after the
other. In the midst of that a Revocation is written. Counted is from when the write was sent to when the
last redemption that succeeded was answered, each kind of Revocation several times, alone and while other
tasks act. A redemption after the first refusal ends the run: what is revoked stays revoked.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import pickle
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp
import town
from attempts import ARGS, once_ready, prove
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devcluster.api import start_control_plane
from devcluster.kubectl import Kubectl
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.broker.settings import CanaryAddress, Settings
from doorward.door import canary
from doorward.door.broker import Broker as Door
from doorward.errors import Refusal
from doorward.kube import Client, Object, connect, resources
from doorward.render import RenderSettings, render_pod
from doorward.serving import client_context

CRDS: Final = Path(__file__).parents[3] / "crds"
KINDS: Final = ("task", "role", "capability", "namespace", "everything")
CAPABILITIES: Final = 64
"""Per trial, and as many as one Revocation can name."""
BEFORE: Final = 8
"""Redemptions before the Revocation is written."""
BROKER_IP: Final = "10.96.0.10"


@dataclass
class World:
    """The broker and what is needed to play everybody around it."""

    client: Client
    authority: Authority
    settings: Settings
    render: RenderSettings
    http: aiohttp.ClientSession
    doors: list[Door] = field(default_factory=list)
    hands: str = ""

    async def task(self, namespace: str) -> tuple[Door, AgentTask]:
        """A task in a namespace of its own whose door has its session and has proven its fence."""
        await self.enrol(namespace)
        found = AgentTask.parse(await self.create(resources.AGENT_TASKS, town.task(), namespace))
        role = AgentRole.parse(await self.client.get(resources.AGENT_ROLES, "helper", namespace))
        code = Connector.parse(await self.client.get(resources.CONNECTORS, "code"))
        pod = await self.create(
            resources.PODS, render_pod(found, role, {"code": code}, self.render), namespace
        )
        status = {
            "phase": "Pending",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "initContainerStatuses": [{**town.door_status(), "image": "x", "imageID": "x", "ready": True}],
        }
        name = pod["metadata"]["name"]
        await self.client.merge(resources.PODS, name, {"status": status}, namespace, subresource="status")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
        token = await self.token(pod["spec"]["serviceAccountName"], namespace, "doorward-broker", bound)
        url = f"https://127.0.0.1:{self.settings.listen[1]}"
        door = Door(url, client_context(self.authority.bundle), Ed25519PrivateKey.generate())
        self.doors.append(door)
        await once_ready(lambda: door.open(token))
        await prove(door)
        return door, found

    async def token(self, account: str, namespace: str, audience: str, bound: Object | None = None) -> str:
        """A projected token."""
        spec = {"audiences": [audience], "expirationSeconds": 7200} | (
            {"boundObjectRef": bound} if bound else {}
        )
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        made = await self.client.create(
            resources.SERVICE_ACCOUNTS, body, namespace, name=account, subresource="token"
        )
        return str(made["status"]["token"])

    async def redeem(self, capability: str) -> str:
        """Spend a capability; `` or the code of the refusal."""
        url = f"https://127.0.0.1:{self.settings.connectors_listen[1]}/v1/redemptions"
        body = {"capability": capability, "instance": "i", "nonce": "n"}
        headers = {"Authorization": f"Bearer {self.hands}"}
        async with self.http.post(url, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
        return "" if response.status == 200 else str(answer["code"])

    async def enrol(self, name: str) -> None:
        """An enrolled namespace with a role."""
        await self.create(resources.NAMESPACES, town.namespace(name))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doorward-role-helper"}}
        await self.create(resources.SERVICE_ACCOUNTS, account, name)
        await self.create(resources.AGENT_ROLES, town.role(), name)

    async def create(self, resource: Any, body: Object, namespace: str | None = None) -> Object:
        """Create an object in a namespace, whatever the body says of it."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "uid"}
        placed = metadata | ({"namespace": namespace} if namespace else {})
        return await self.client.create(resource, {**body, "metadata": placed}, namespace)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Everything running."""
    plane = start_control_plane(folder / "plane")
    try:
        kubectl = Kubectl(plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(CRDS))
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        authority = Authority(folder)
        render = {"doorImage": "registry.example/doorward/door:bench"}
        (folder / "render.json").write_text(json.dumps(render))
        async with canary.serving("127.0.0.1", 0) as port, connect(str(plane.kubeconfig)) as client:
            settings = chosen(folder, authority, port)
            with broker(folder, settings, str(plane.kubeconfig)):
                tls = aiohttp.TCPConnector(ssl=client_context(authority.bundle))
                async with aiohttp.ClientSession(connector=tls) as http:
                    known = RenderSettings.load(
                        json.dumps(render).encode(), ca_pem=authority.bundle, broker_ip=BROKER_IP
                    )
                    made = World(client, authority, settings, known, http)
                    await prepared(made)
                    yield made
                    for door in made.doors:
                        await door.close()
    finally:
        plane.stop()


async def prepared(made: World) -> None:
    """The connector, its account, and the release namespace."""
    for name in (town.RELEASE, "doorward-code"):
        await made.create(resources.NAMESPACES, {**town.namespace(name), "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doorward-connector-code"}}
    await made.create(resources.SERVICE_ACCOUNTS, account, "doorward-code")
    await made.create(resources.CONNECTORS, town.connector())
    made.hands = await made.token("doorward-connector-code", "doorward-code", "doorward-redemptions")


def chosen(folder: Path, authority: Authority, port: int) -> Settings:
    """The broker's settings; its buckets are wide, they are not what is measured."""
    certificate, key = authority.issue("doorward-broker.doorward-system.svc")
    doors, hands, ops = free_ports(3)
    return Settings(
        listen=("127.0.0.1", doors),
        connectors_listen=("127.0.0.1", hands),
        ops_listen=("127.0.0.1", ops),
        tls_certificate=certificate,
        tls_key=key,
        render_file=folder / "render.json",
        ca_file=authority.bundle_file,
        broker_ip=BROKER_IP,
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        keys=folder / "keys",
        canaries=tuple(CanaryAddress(name, "127.0.0.1", port, name) for name in ("tcp", "udp")),
        requests_per_second=1e6,
        request_burst=10**6,
        openings_per_minute=1e6,
        log_level="error",
    )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def broker(folder: Path, settings: Settings, kubeconfig: str) -> Iterator[None]:
    """The broker's process."""
    (folder / "settings").write_bytes(pickle.dumps((settings, kubeconfig)))
    command = [sys.executable, str(Path(__file__).with_name("servers.py")), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield
        process.stdin.close()


async def trial(made: World, kind: str) -> float:
    """Seconds from the write's beginning to the answer of the last redemption that succeeded."""
    namespace = f"agents-{uuid.uuid4().hex[:10]}"
    door, _ = await made.task(namespace)
    decided = [await door.decide("code", "issue.comment", ARGS) for _ in range(CAPABILITIES)]
    tokens = [one.capability for one in decided]
    for token in tokens[:BEFORE]:
        assert await made.redeem(token) == ""
    body = town.revocation(home=namespace, **spec_of(kind, namespace, tokens))
    began = time.monotonic()
    writing = asyncio.ensure_future(made.create(resources.REVOCATIONS, body, namespace))
    last, over = began, False
    for token in tokens[BEFORE:]:
        code = await made.redeem(token)
        if code:
            assert code == "revoked", code
            over = True
        else:
            assert not over, "redeemed after a refusal"
            last = time.monotonic()
    await writing
    assert over, "the capabilities did not last until the Revocation was heard of"
    return last - began


def spec_of(kind: str, namespace: str, tokens: list[str]) -> dict[str, Any]:
    """What the Revocation of a kind says."""
    return {
        "task": {"tasks": ["fix-1"]},
        "role": {"roles": ["helper"]},
        "capability": {"capabilities": [jti_of(token) for token in tokens]},
        "namespace": {"namespaces": [namespace]},
        "everything": {"everything": True},
    }[kind]


def jti_of(token: str) -> str:
    """The id in a capability, unread by anybody else here."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])


async def acting(made: World, done: list[int]) -> None:
    """Another task that acts for ever."""
    door, _ = await made.task(f"others-{uuid.uuid4().hex[:10]}")
    while True:
        try:
            decision = await door.decide("code", "issue.comment", ARGS)
        except Refusal:
            await prove(door)  # a report of the fence counts for 90 seconds
        else:
            done[0] += await made.redeem(decision.capability) == ""


def told(name: str, seconds: list[float]) -> None:
    """One line of the table, in milliseconds."""
    cut = quantiles(seconds, n=100, method="inclusive")
    numbers = (cut[49], cut[98], max(seconds))
    sys.stdout.write(
        f"{name:<24}" + "".join(f"{1000 * number:>10.1f}" for number in numbers) + f"{len(seconds):>8}\n"
    )
    sys.stdout.flush()


async def measured(made: World, trials: int, others: int) -> None:
    """Every kind in turn, while `others` tasks act."""
    done = [0]
    async with asyncio.TaskGroup() as group:
        busy = [group.create_task(acting(made, done)) for _ in range(others)]
        began, found = time.monotonic(), dict[str, list[float]]()
        for kind in [kind for _ in range(trials) for kind in KINDS]:
            found.setdefault(kind, []).append(await trial(made, kind))
        for kind, seconds in found.items():
            told(kind, seconds)
        told("all", [one for seconds in found.values() for one in seconds])
        rate = done[0] / (time.monotonic() - began)
        for one in busy:
            one.cancel()
    sys.stdout.write(f"meanwhile {rate:.0f} actions/s of {others} other tasks\n\n")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20, help="of each kind and pass")
    parser.add_argument("--others", type=int, default=8, help="tasks that act in the second pass")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        async with world(Path(folder)) as made:
            sys.stdout.write(f"{'ms after the write':<24}{'p50':>10}{'p99':>10}{'max':>10}{'n':>8}\n")
            await measured(made, arguments.trials, 0)
            await measured(made, arguments.trials, arguments.others)


if __name__ == "__main__":
    asyncio.run(main())
