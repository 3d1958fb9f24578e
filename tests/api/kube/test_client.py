"""The client against a real API server: nothing is lost, and every no is told apart."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
from waiting import until

from devcluster.api import ControlPlane
from devcluster.kubectl import Kubectl
from doorward.errors import ConfigError, Refusal
from doorward.kube import (
    Access,
    ApiError,
    Backoff,
    Change,
    ChangeType,
    Client,
    Election,
    EventsRecorder,
    Identity,
    Informer,
    Timing,
    connect,
    subject_access_review,
    token_review,
)
from doorward.kube.resources import (
    AGENT_TASKS,
    CONFIG_MAPS,
    EVENTS,
    LEASES,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Object,
    Resource,
)


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[Client]:
    """A client with all rights."""
    async with connect(str(control_plane.kubeconfig)) as found:
        yield found


@pytest.fixture
async def namespace(client: Client) -> str:
    """A namespace of the test's own."""
    name = f"kube-{uuid.uuid4().hex[:8]}"
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config_map(namespace: str, name: str, **data: str) -> Object:
    """An object without behaviour."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Followed:
    """An informer and what it told."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.changes: list[Change] = []
        backoff = Backoff(base=0.01, limit=0.05)
        self.informer = Informer(client, CONFIG_MAPS, namespace, self.changes.append, backoff=backoff)

    def told(self, kind: ChangeType) -> list[str]:
        """Names in the changes of one kind, in order."""
        return [item.object["metadata"]["name"] for item in self.changes if item.type is kind]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.informer.run())
        await self.informer.synced.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_each_no_has_its_kind(client: Client, namespace: str) -> None:
    """Not found, exists already and changed meanwhile are three different things to do."""
    with pytest.raises(ApiError) as absent:
        await client.get(CONFIG_MAPS, "a", namespace)
    assert absent.value.not_found
    assert await client.find(CONFIG_MAPS, "a", namespace) is None

    created = await client.create(CONFIG_MAPS, config_map(namespace, "a", x="1"), namespace)
    with pytest.raises(ApiError) as again:
        await client.create(CONFIG_MAPS, config_map(namespace, "a"), namespace)
    assert again.value.reason == "AlreadyExists"

    await client.replace(CONFIG_MAPS, {**created, "data": {"x": "2"}})
    with pytest.raises(ApiError) as stale:
        await client.replace(CONFIG_MAPS, {**created, "data": {"x": "3"}})
    assert stale.value.reason == "Conflict"
    assert not stale.value.transient


async def test_only_the_meant_object_is_deleted(client: Client, namespace: str) -> None:
    """A successor under the same name is not hit; deleting what is gone is no error."""
    created = await client.create(CONFIG_MAPS, config_map(namespace, "a"), namespace)
    with pytest.raises(ApiError) as refused:
        await client.delete(CONFIG_MAPS, "a", namespace, uid="another")
    assert refused.value.conflict

    await client.delete(CONFIG_MAPS, "a", namespace, uid=created["metadata"]["uid"])
    await client.delete(CONFIG_MAPS, "a", namespace)
    assert await client.find(CONFIG_MAPS, "a", namespace) is None


async def test_applying_twice_changes_nothing(client: Client, namespace: str) -> None:
    """Server-side apply of the same fields leaves the resource version as it was."""
    first = await client.apply(CONFIG_MAPS, config_map(namespace, "a", x="1"), manager="test")
    second = await client.apply(CONFIG_MAPS, config_map(namespace, "a", x="1"), manager="test")

    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_a_merge_holds_its_version(client: Client, namespace: str) -> None:
    """With a resource version in it, a patch of an older state is refused."""
    created = await client.create(CONFIG_MAPS, config_map(namespace, "a", x="1"), namespace)
    version = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}}
    await client.merge(CONFIG_MAPS, "a", {**version, "data": {"x": "2"}}, namespace)
    with pytest.raises(ApiError) as stale:
        await client.merge(CONFIG_MAPS, "a", {**version, "data": {"x": "3"}}, namespace)

    assert stale.value.conflict


async def test_a_failed_test_stops_a_json_patch(client: Client, namespace: str) -> None:
    """A patch for another UID is refused."""
    await client.create(CONFIG_MAPS, config_map(namespace, "a"), namespace)
    operations: list[Object] = [{"op": "test", "path": "/metadata/uid", "value": "another"}]
    with pytest.raises(ApiError) as refused:
        await client.json_patch(CONFIG_MAPS, "a", operations, namespace)

    assert refused.value.status == 422


async def test_a_long_list_comes_whole(client: Client, namespace: str) -> None:
    """Pages are put together; every object comes once."""
    names = [f"c{index:04}" for index in range(520)]
    for chunk in range(0, len(names), 40):
        made = (
            client.create(CONFIG_MAPS, config_map(namespace, name), namespace)
            for name in names[chunk : chunk + 40]
        )
        await asyncio.gather(*made)
    pages = [page async for page in client.pages(CONFIG_MAPS, namespace)]

    assert [item["metadata"]["name"] for page in pages for item in page.items] == names
    assert [len(page.items) for page in pages] == [500, 20]


async def test_an_informer_tells_of_all_and_of_each_change(client: Client, namespace: str) -> None:
    """What was there before, what is made, changed and deleted; objects of the list say what they are."""
    await client.create(CONFIG_MAPS, config_map(namespace, "before"), namespace)
    async with Followed(client, namespace) as followed:
        assert followed.changes[0].object["kind"] == "ConfigMap"
        await client.create(CONFIG_MAPS, config_map(namespace, "after"), namespace)
        await client.merge(CONFIG_MAPS, "after", {"data": {"x": "1"}}, namespace)
        await client.delete(CONFIG_MAPS, "before", namespace)
        await until(lambda: followed.told(ChangeType.GONE))

    assert followed.told(ChangeType.PRESENT) == ["before", "after", "after"]
    assert followed.told(ChangeType.GONE) == ["before"]


async def test_a_deletion_in_a_gap_is_told(client: Client, namespace: str) -> None:
    """After a gap too long for the watch, what vanished is told of, and so is what was made anew."""
    uids = {}
    for name in ("stays", "vanishes", "anew"):
        created = await client.create(CONFIG_MAPS, config_map(namespace, name), namespace)
        uids[name] = created["metadata"]["uid"]
    async with Followed(client, namespace) as followed:
        pass
    await client.delete(CONFIG_MAPS, "vanishes", namespace)
    await client.delete(CONFIG_MAPS, "anew", namespace)
    await client.create(CONFIG_MAPS, config_map(namespace, "anew"), namespace)
    followed.changes.clear()
    followed.informer._version = None  # as after a 410
    followed.informer.synced.clear()
    async with followed:
        pass
    gone = {item.object["metadata"]["uid"] for item in followed.changes if item.type is ChangeType.GONE}

    assert gone == {uids["vanishes"], uids["anew"]}
    assert sorted(followed.told(ChangeType.PRESENT)) == ["anew", "stays"]


async def test_a_token_tells_its_holder(client: Client, namespace: str) -> None:
    """For exactly its audience; everything else is refused."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "a", "namespace": namespace},
    }
    await client.create(SERVICE_ACCOUNTS, account, namespace)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["doorward-broker"]},
    }
    answer = await client.create(SERVICE_ACCOUNTS, request, namespace, name="a", subresource="token")
    token = answer["status"]["token"]
    who = await token_review(client, token, "doorward-broker")

    assert who.service_account == (namespace, "a")
    assert who.pod_name == ""
    for wrong, audience in ((token, "another"), (token + "x", "doorward-broker"), ("", "doorward-broker")):
        with pytest.raises(Refusal, match="does not vouch"):
            await token_review(client, wrong, audience)


async def test_rbac_is_asked(client: Client, namespace: str, kubectl: Kubectl) -> None:
    """Only what RBAC grants is allowed, on invented resources, too."""
    who = Identity("alice", groups=("people",))
    access = Access("use", "agentroles", "doorward.dev", namespace, "fixer")
    assert not await subject_access_review(client, who, access)

    granted = {
        "apiGroups": ["doorward.dev"],
        "resources": ["agentroles"],
        "resourceNames": ["fixer"],
        "verbs": ["use"],
    }
    kubectl.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "users", "namespace": namespace},
            "rules": [granted],
        }
    )
    kubectl("create", "rolebinding", "users", "-n", namespace, "--role=users", "--group=people")
    async with asyncio.timeout(120):
        while not await subject_access_review(client, who, access):  # noqa: ASYNC110 - RBAC takes effect a moment later
            await asyncio.sleep(0)
    assert not await subject_access_review(
        client, who, Access("approve", "agentroles", "doorward.dev", namespace, "fixer")
    )


async def test_an_event_can_be_read(client: Client, namespace: str) -> None:
    """It names the object, the controller and the reason."""
    made = await client.create(CONFIG_MAPS, config_map(namespace, "a"), namespace)
    recorder = EventsRecorder(client, "doorward.dev/test", "one")
    await recorder.record(made, reason="Started", action="Test", note="x" * 2000, type_="Warning")
    [found] = [item async for page in client.pages(EVENTS, namespace) for item in page.items]

    assert found["regarding"]["uid"] == made["metadata"]["uid"]
    assert (found["reason"], found["type"], len(found["note"])) == ("Started", "Warning", 1024)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def candidates(client: Client, namespace: str) -> tuple[list[Election], Hand]:
    """Two replicas with one clock."""
    clock = Hand()
    made = [
        Election(client, namespace, "leader", name, timing=Timing(), monotonic=clock)
        for name in ("one", "two")
    ]
    return made, clock


async def test_one_leads(client: Client, namespace: str) -> None:
    """The first takes the lease, the second waits for as long as it is renewed."""
    (one, two), clock = candidates(client, namespace)
    for _ in range(12):
        await one.attempt()
        await two.attempt()
        assert (one.leading, two.leading) == (True, False)
        clock.now += 2


async def test_a_silent_holder_gives_up_before_another_takes_over(client: Client, namespace: str) -> None:
    """At no moment are there two leaders."""
    (one, two), clock = candidates(client, namespace)
    await one.attempt()
    led = []
    for _ in range(10):
        await two.attempt()
        led.append((one.leading, two.leading))
        clock.now += 2

    assert (True, True) not in led
    assert led[0] == (True, False)
    assert led[-1] == (False, True)


async def test_a_released_lease_is_free_at_once(client: Client, namespace: str) -> None:
    """A replica that ends lets the next one go on."""
    (one, two), _ = candidates(client, namespace)
    await one.attempt()
    await one.release()
    await two.attempt()
    lease: dict[str, Any] = await client.get(LEASES, "leader", namespace)

    assert (one.leading, two.leading) == (False, True)
    assert lease["spec"]["holderIdentity"] == "two"
    assert lease["spec"]["leaseTransitions"] == 1


async def test_a_race_has_one_winner(client: Client, namespace: str) -> None:
    """Ten replicas at the same moment: the server lets one through."""
    clock = Hand()
    many = [Election(client, namespace, "leader", f"r{index}", monotonic=clock) for index in range(10)]
    await asyncio.gather(*(one.attempt() for one in many))

    assert [one.leading for one in many].count(True) == 1


def test_without_access_the_process_does_not_start(tmp_path: Any) -> None:
    """The message says what was looked for."""
    with pytest.raises(ConfigError, match="no access to a cluster"):
        connect(str(tmp_path / "absent"))


async def test_a_bare_list_holds_nothing_but_metadata(client: Client, namespace: str) -> None:
    """Who asks which Secrets there are is not sent what is in them."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "prod-db"},
        "stringData": {"password": "hunter2"},
    }
    await client.create(SECRETS, body, namespace)
    bare = [item async for page in client.pages(SECRETS, namespace, bare=True) for item in page.items]

    assert [(item["metadata"]["name"], item.get("data")) for item in bare] == [("prod-db", None)]
    assert "hunter2" not in str(bare)


async def test_what_is_not_installed_is_not_served(client: Client) -> None:
    """Asked of discovery, which everybody may read: a 403 would say nothing about it."""
    absent = Resource("cilium.io", "v9", "ciliumnetworkpolicies", "CiliumNetworkPolicy")
    known = [await client.serves(resource) for resource in (SECRETS, LEASES, AGENT_TASKS)]

    assert known == [True, True, True]
    assert not await client.serves(absent)
    assert not await client.serves(Resource(LEASES.group, LEASES.version, "cases", "Case"))
