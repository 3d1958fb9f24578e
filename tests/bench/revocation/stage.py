"""What benchmarks of the broker stand on: a real API server, a broker process, and everybody around it."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import aiohttp
import town
from attempts import once_ready, prove
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devcluster import ports
from devcluster.api import start_control_plane
from devcluster.kubectl import Kubectl
from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector
from doorward.broker.settings import CanaryAddress, Settings
from doorward.door import canary
from doorward.door.broker import Broker as Door
from doorward.kube import Client, Object, connect, resources
from doorward.render import RenderSettings, render_pod
from doorward.serving import client_context

CRDS: Final = Path(__file__).parents[3] / "crds"
BROKER_IP: Final = "10.96.0.10"


@dataclass
class World:
    """The broker and what is needed to play everybody around it."""

    client: Client
    authority: Authority
    settings: Settings
    render: RenderSettings
    http: aiohttp.ClientSession
    pids: dict[str, list[int]]
    """Part -> its processes."""
    doors: list[Door] = field(default_factory=list)
    hands: str = ""

    async def task(self, namespace: str, address: str = "127.0.0.1") -> Door:
        """A task in a namespace of its own whose door has its session and has proven its fence."""
        token = await self.pod(namespace, address)
        url = f"https://127.0.0.1:{self.settings.listen[1]}"
        door = Door(url, client_context(self.authority.bundle), Ed25519PrivateKey.generate())
        await door._http.close()
        door._http = self.calling(address)
        self.doors.append(door)
        await once_ready(lambda: door.open(token))
        await prove(door)
        return door

    async def pod(self, namespace: str, address: str, **rule: Any) -> str:
        """The pod of a task in a namespace of its own; gives the token of its door.

        `rule` changes the one rule of the role.
        """
        await self.enrol(namespace, **rule)
        found = AgentTask.parse(await self.create(resources.AGENT_TASKS, town.task(), namespace))
        role = AgentRole.parse(await self.client.get(resources.AGENT_ROLES, "helper", namespace))
        code = Connector.parse(await self.client.get(resources.CONNECTORS, "code"))
        pod = await self.create(
            resources.PODS, render_pod(found, role, {"code": code}, self.render), namespace
        )
        status = {
            "phase": "Pending",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "initContainerStatuses": [{**town.door_status(), "image": "x", "imageID": "x", "ready": True}],
        }
        name = pod["metadata"]["name"]
        await self.client.merge(resources.PODS, name, {"status": status}, namespace, subresource="status")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
        return await self.token(pod["spec"]["serviceAccountName"], namespace, "doorward-broker", bound)

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

    def calling(self, address: str) -> aiohttp.ClientSession:
        """A client that calls from an address of this machine, as a pod does from its own."""
        tls = client_context(self.authority.bundle)
        connector = aiohttp.TCPConnector(ssl=tls, limit=16, local_addr=(address, 0))
        return aiohttp.ClientSession(connector=connector, auto_decompress=False)

    async def redeem(self, capability: str) -> str:
        """Spend a capability; `` or the code of the refusal."""
        url = f"https://127.0.0.1:{self.settings.connectors_listen[1]}/v1/redemptions"
        body = {"capability": capability, "instance": "i", "nonce": "n"}
        headers = {"Authorization": f"Bearer {self.hands}"}
        async with self.http.post(url, json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
        return "" if response.status == 200 else str(answer["code"])

    async def enrol(self, name: str, **rule: Any) -> None:
        """An enrolled namespace with a role."""
        await self.create(resources.NAMESPACES, town.namespace(name))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doorward-role-helper"}}
        await self.create(resources.SERVICE_ACCOUNTS, account, name)
        await self.create(resources.AGENT_ROLES, town.role(**rule), name)

    async def create(self, resource: Any, body: Object, namespace: str | None = None) -> Object:
        """Create an object in a namespace, whatever the body says of it."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "uid"}
        placed = metadata | ({"namespace": namespace} if namespace else {})
        return await self.client.create(resource, {**body, "metadata": placed}, namespace)


@asynccontextmanager
async def world(
    folder: Path,
    under: Sequence[str] = (),
    connector: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> AsyncIterator[World]:
    """Everything running; `changes` are settings of the broker.

    `connector` changes the spec of the Connector; `under` are the words of a script that runs the broker.
    """
    plane = start_control_plane(folder / "plane")
    try:
        kubectl = Kubectl(plane.kubeconfig)
        kubectl("apply", "--server-side", "-f", str(CRDS))
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
        authority = Authority(folder)
        render = {"doorImage": "registry.example/doorward/door:bench"}
        (folder / "render.json").write_text(json.dumps(render))
        async with canary.serving("127.0.0.1", 0) as port, connect(str(plane.kubeconfig)) as client:
            settings = replace(chosen(folder, authority, port), **changes)
            with broker(folder, settings, str(plane.kubeconfig), under) as process:
                tls = aiohttp.TCPConnector(ssl=client_context(authority.bundle))
                async with aiohttp.ClientSession(connector=tls) as http:
                    known = RenderSettings.load(
                        json.dumps(render).encode(), ca_pem=authority.bundle, broker_ip=BROKER_IP
                    )
                    pids = {"broker": [process.pid], "cluster": [one.pid for one in plane.processes]}
                    made = World(client, authority, settings, known, http, pids)
                    await prepared(made, connector)
                    yield made
                    for door in made.doors:
                        await door.close()
    finally:
        plane.stop()


async def prepared(made: World, connector: Mapping[str, Any]) -> None:
    """The connector, its account, and the release namespace."""
    for name in (town.RELEASE, "doorward-code"):
        await made.create(resources.NAMESPACES, {**town.namespace(name), "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "doorward-connector-code"}}
    await made.create(resources.SERVICE_ACCOUNTS, account, "doorward-code")
    await made.create(resources.CONNECTORS, town.connector(**connector))
    made.hands = await made.token("doorward-connector-code", "doorward-code", "doorward-redemptions")


def chosen(folder: Path, authority: Authority, port: int) -> Settings:
    """The broker's settings; its buckets are wide, they are not what is measured."""
    certificate, key = authority.issue("doorward-broker.doorward-system.svc")
    doors, hands, ops = ports.free(3)
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
        connector_requests_per_second=1e6,
        openings_per_minute=1e6,
        log_level="error",
    )


@contextmanager
def broker(
    folder: Path, settings: Settings, kubeconfig: str, under: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The broker's process."""
    (folder / "settings").write_bytes(pickle.dumps((settings, kubeconfig)))
    command = [sys.executable, *under, str(Path(__file__).with_name("servers.py")), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process
        process.stdin.close()
