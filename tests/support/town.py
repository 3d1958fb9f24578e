"""A broker on real TLS listeners with a real ledger, in a cluster that is held in memory.

The cluster answers the four questions of `doorward.broker.cluster.Cluster` from its own objects; what
the API server itself does is under test in tests/api.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from doorward import catalogue, serving
from doorward.api.v1alpha1 import AgentTask
from doorward.broker import epochs
from doorward.broker.keyring import KeyRing
from doorward.broker.places import Places
from doorward.broker.process import Broker
from doorward.broker.settings import CanaryAddress, Settings
from doorward.broker.showing import stamp
from doorward.core import ids
from doorward.core.clock import system
from doorward.door import canary
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import Access, Change, ChangeType, Identity, Object, Resource, resources
from doorward.ledger import Ledger
from doorward.render import RenderSettings, render_pod
from doorward.serving import client_context
from doorward.tokens import keys as signing

NAMESPACE = "agents"
RELEASE = "doorward-system"
GROUP = "doorward.dev/v1alpha1"
SA = "system:serviceaccount:doorward-code:doorward-connector-code"


def namespace(name: str = NAMESPACE) -> Object:
    """An enrolled namespace."""
    labels = {"doorward.dev/enforced": "true", "kubernetes.io/metadata.name": name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def role(**rule: Any) -> Object:
    """A role that may comment in acme's repositories; `rule` changes its one rule."""
    comment = {
        "name": "comment",
        "connector": "code",
        "actions": ["issue.comment", "issue.read"],
        "resources": {"repository": ["acme/*"]},
        **rule,
    }
    spec = {"agent": {"images": ["registry.example/agents/*"]}, "rules": [comment]}
    metadata = {"name": "helper", "namespace": NAMESPACE, "uid": "role-uid"}
    return {"apiVersion": GROUP, "kind": "AgentRole", "metadata": metadata, "spec": spec}


def task(name: str = "fix-1", **spec: Any) -> Object:
    """A task in that role."""
    body = {
        "role": "helper",
        "agent": {"image": "registry.example/agents/fixer:1"},
        "input": {"issue": 7},
        "requestedBy": "alice",
        "createdBy": "mona",
        **spec,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"{name}-uid"}
    return {"apiVersion": GROUP, "kind": "AgentTask", "metadata": metadata, "spec": body}


def connector(**spec: Any) -> Object:
    """The Connector `code`, which lets enrolled namespaces read and draft."""
    tenant = {
        "namespaces": {"selector": {"matchLabels": {"doorward.dev/enforced": "true"}}},
        "effects": ["read", "draft"],
    }
    body = {
        "type": "forge",
        "provider": "gitea",
        "zone": "repository",
        "endpoint": "https://forge.example",
        "service": {"namespace": "doorward-code", "name": "doorward-connector-code"},
        "audience": "connector:code",
        "catalogueHash": catalogue.load("forge").hash,
        "ci": "isolated",
        "tenants": [tenant],
        **spec,
    }
    metadata = {"name": "code", "uid": "connector-uid"}
    return {"apiVersion": GROUP, "kind": "Connector", "metadata": metadata, "spec": body}


def revocation(uid: str = "revocation-uid", home: str = NAMESPACE, **spec: Any) -> Object:
    """A Revocation."""
    metadata = {"name": uid, "namespace": home, "uid": uid}
    return {
        "apiVersion": GROUP,
        "kind": "Revocation",
        "metadata": metadata,
        "spec": {"reason": "because", **spec},
    }


@dataclass
class Town:
    """The cluster: what is asked live."""

    pods: dict[tuple[str, str], Object] = field(default_factory=dict)
    tasks: dict[tuple[str, str], Object] = field(default_factory=dict)
    tokens: dict[tuple[str, str], Identity] = field(default_factory=dict)
    """(token, audience) -> who holds it."""
    taken_back: list[Object] = field(default_factory=list)
    down: bool = False
    reviews: int = 0
    hold: asyncio.Event | None = None
    """TokenReviews wait for it, if there is one."""
    grants: dict[tuple[str, str], Object] = field(default_factory=dict)
    verbs: dict[str, set[str]] = field(default_factory=dict)
    """User -> what they may do to the role: `approve`, `use`, or `approve/<rule>` for a rule alone."""
    made_at: str = ""
    """Creation time of Grants; now if empty."""
    looks: int = 0
    """How often Revocations were read live."""

    async def review(self, token: str, audience: str) -> Identity:
        """See `Cluster`."""
        self._up()
        self.reviews += 1
        if self.hold is not None:
            await self.hold.wait()
        found = self.tokens.get((token, audience))
        if found is None:
            raise Refusal(Code.SESSION_INVALID, "unknown token")
        return found

    async def pod(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        self._up()
        return copy.deepcopy(self.pods.get((namespace, name)))

    async def task(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        self._up()
        return self.tasks.get((namespace, name))

    async def revocations(self, namespace: str) -> list[Object]:
        """See `Cluster`."""
        self._up()
        self.looks += 1
        return [item for item in self.taken_back if item["metadata"]["namespace"] == namespace]

    async def grant(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        self._up()
        return copy.deepcopy(self.grants.get((namespace, name)))

    async def make_grant(self, body: Object) -> Object:
        """See `Cluster`."""
        self._up()
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if key not in self.grants:
            made = {"uid": ids.uuid7(), "creationTimestamp": self.made_at or stamp(system())}
            self.grants[key] = {**body, "metadata": {**body["metadata"], **made}}
        return copy.deepcopy(self.grants[key])

    async def allows(self, who: Identity, access: Access) -> bool:
        """See `Cluster`."""
        self._up()
        wanted = access.verb + (f"/{access.subresource}" if access.subresource else "")
        right = (access.resource, access.group, access.name) == ("agentroles", "doorward.dev", "helper")
        return right and wanted in self.verbs.get(who.username, set())

    async def make_task(self, namespace: str, task: Object) -> Object:
        """See `Cluster`."""
        self._up()
        key = (namespace, task["metadata"]["name"])
        return self.tasks.setdefault(key, {**task, "metadata": {**task["metadata"], "uid": f"{key[1]}-uid"}})

    def _up(self) -> None:
        if self.down:
            raise Refusal(Code.UNAVAILABLE, "the API server did not answer")


@dataclass
class World:
    """A broker, its listeners, and the cluster around it."""

    broker: Broker
    town: Town
    authority: Authority
    doors_url: str
    hands_url: str
    render: RenderSettings
    in_force: list[RenderSettings]
    """What the broker believes that pods are rendered with; tests change it."""

    @property
    def ledger(self) -> Ledger:
        """The broker's ledger."""
        return self.broker.ledger

    def tell(self, resource: Resource, found: Object, *, gone: bool = False) -> None:
        """News from an informer; what follows is left to the caller."""
        kind = ChangeType.GONE if gone else ChangeType.PRESENT
        if resource is resources.GRANTS:
            key = (found["metadata"]["namespace"], found["metadata"]["name"])
            self.town.grants.pop(key, None)
            self.town.grants |= {} if gone else {key: found}
        self.follow_ups = self.broker.facts.apply(resource, Change(kind, found))
        self.broker.clerk.heard(resource, Change(kind, found))

    def take_over(self, other: World) -> None:
        """Hear what another broker has heard of tasks."""
        for found in other.town.tasks.values():
            self.tell(resources.AGENT_TASKS, found)

    def run_task(self, name: str = "fix-1", address: str = "127.0.0.1", **spec: Any) -> str:
        """A task and its pod, running; gives the token of its door."""
        found, facts = task(name, **spec), self.broker.facts
        self.tell(resources.AGENT_TASKS, found)
        self.town.tasks[NAMESPACE, name] = found
        parsed = AgentTask.parse(found)
        pod = render_pod(parsed, facts.roles[NAMESPACE, parsed.spec.role], facts.connectors, self.render)
        pod["metadata"] |= {"uid": f"{name}-pod-uid", "creationTimestamp": "2026-11-20T10:00:00Z"}
        pod["status"] = {
            "phase": "Pending",
            "podIPs": [{"ip": address}],
            "initContainerStatuses": [door_status()],
        }
        self.town.pods[NAMESPACE, pod["metadata"]["name"]] = pod
        return self.token(pod)

    def pod(self, name: str = "fix-1") -> Object:
        """The live pod of a task."""
        return next(pod for pod in self.town.pods.values() if pod["metadata"]["uid"] == f"{name}-pod-uid")

    def token(self, pod: Object, **changes: Any) -> str:
        """A token of the pod's service account, bound to the pod."""
        metadata, made = pod["metadata"], ids.uuid7()
        extra = {
            "authentication.kubernetes.io/pod-name": [metadata["name"]],
            "authentication.kubernetes.io/pod-uid": [metadata["uid"]],
        }
        account = f"system:serviceaccount:{metadata['namespace']}:{pod['spec']['serviceAccountName']}"
        who = Identity(**{"username": account, "extra": extra, **changes})
        self.town.tokens[made, "doorward-broker"] = who
        return made

    def hands_token(self, username: str = SA) -> str:
        """A token of a connector's service account."""
        made = ids.uuid7()
        self.town.tokens[made, "doorward-redemptions"] = Identity(username)
        return made

    @asynccontextmanager
    async def door(self, key: Ed25519PrivateKey | None = None) -> AsyncIterator[Door]:
        """A door's own client."""
        tls = client_context(self.authority.bundle)
        made = Door(self.doors_url, tls, key or Ed25519PrivateKey.generate())
        try:
            yield made
        finally:
            await made.close()

    def probes(self) -> list[dict[str, Any]]:
        """What a fenced door finds: each canary that lives, blocked."""
        names = ("name", "host", "port", "protocol")
        return [
            {**dict(zip(names, one.where, strict=True)), "blocked": True}
            for one in self.broker.canaries.known
        ]

    async def prove(self, door: Door) -> None:
        """Report a fence that holds."""
        await door._ask("POST", "/v1/fence", {"probes": self.probes()})

    async def call_hands(self, path: str, body: Any, token: str) -> tuple[int, dict[str, Any]]:
        """A connector's call in plain HTTP: status and document."""
        tls = client_context(self.authority.bundle)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http,
            http.post(
                self.hands_url + path, json=body, headers={"Authorization": f"Bearer {token}"}
            ) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def redeem(self, capability: str, token: str, **body: str) -> tuple[int, dict[str, Any]]:
        """A redemption."""
        asked = {"capability": capability, "instance": "instance-1", "nonce": "nonce-1", **body}
        return await self.call_hands("/v1/redemptions", asked, token)


def door_status(container: str = "containerd://1", restarts: int = 0) -> Object:
    """What the kubelet says about a running door."""
    return {
        "name": "door",
        "containerID": container,
        "restartCount": restarts,
        "state": {"running": {"startedAt": "2026-11-20T10:00:01Z"}},
    }


@dataclass(frozen=True)
class Estate:
    """What several brokers of one cluster have in common."""

    town: Town
    authority: Authority
    url: str
    """Address of the ledger."""
    checkpoint: Path | None = None
    """The key that signs epochs, where it is shared."""


@asynccontextmanager
async def settled(folder: Path, rule: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[World]:
    """A world with one role, one Connector and a canary for each protocol in it."""
    estate = Estate(Town(), Authority(folder), f"sqlite:///{folder / 'ledger.db'}")
    async with canaries() as known, _settled(folder, estate, rule, {"canaries": known, **settings}) as world:
        yield world


@asynccontextmanager
async def both(folder: Path, url: str, **settings: Any) -> AsyncIterator[tuple[World, World]]:
    """Two brokers on one ledger in one cluster; news are told to each."""
    (folder / "checkpoint.pem").write_bytes(signing.generate())
    estate = Estate(Town(), Authority(folder), url, folder / "checkpoint.pem")
    async with (
        canaries() as known,
        _settled(folder / "one", estate, None, {"canaries": known, **settings}) as one,
        _settled(folder / "two", estate, None, {"canaries": known, **settings}) as two,
    ):
        await one.broker.keyshare.learn()
        yield one, two


@asynccontextmanager
async def canaries() -> AsyncIterator[tuple[CanaryAddress, ...]]:
    """One that answers, for each protocol."""
    async with canary.serving("127.0.0.1", 0) as port:
        yield tuple(CanaryAddress(name, "127.0.0.1", port, name) for name in ("tcp", "udp"))


@asynccontextmanager
async def _settled(
    folder: Path, estate: Estate, rule: dict[str, Any] | None, settings: dict[str, Any]
) -> AsyncIterator[World]:
    values = {"kubelet_seconds": 0.3, "heartbeat_seconds": 3600.0, **settings}
    authority, town = estate.authority, estate.town
    render = RenderSettings("registry.example/door:1", "10.96.0.1", authority.bundle)
    in_force = [render]
    ledger = Ledger(estate.url)
    try:
        keyring = KeyRing(folder / "keys", 30, system, estate.checkpoint)
        epoch = await epochs.establish(ledger, keyring.checkpoint, "https://broker.test", None, system())

        async def resolve(_: str, __: int) -> str:
            return "10.96.0.2"

        broker = Broker(
            settings=Settings(issuer="https://broker.test", **values),
            registry=CollectorRegistry(),
            ledger=ledger,
            keyring=keyring,
            epoch=epoch,
            cluster=town,
            renderings=lambda _: in_force,
            places=Places(resolve),
        )
        await broker.load()
        if ledger.shared:
            await broker.keyshare.publish()
            await broker.keyshare.learn()
        broker.heartbeat.seen(broker.heartbeat.next_mark())
        tls = authority.server("doorward-broker.test").context
        await broker.canaries.probe()
        async with (
            serving.listening(broker.doors(), "127.0.0.1", 0, tls, 1) as doors,
            serving.listening(broker.hands(), "127.0.0.1", 0, tls, 1) as hands,
        ):
            urls = [f"https://127.0.0.1:{listener.port}" for listener in (doors, hands)]
            world = World(broker, town, authority, *urls, render, in_force)
            world.tell(resources.NAMESPACES, namespace())
            world.tell(resources.AGENT_ROLES, role(**(rule or {})))
            world.tell(resources.CONNECTORS, connector())
            yield world
    finally:
        ledger.close()
