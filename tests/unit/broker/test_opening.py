"""Opening a session: the door of a running task, in its own pod, and nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from town import NAMESPACE, World, connector, door_status, namespace, revocation, settled, task
from waiting import until

from doorward.errors import Code, Refusal
from doorward.kube import Identity, Resource, resources


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path, openings_per_minute=6000.0) as made:
        yield made


async def code_of(waiting: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value.code


async def test_a_door_is_told_its_task_and_its_connectors(world: World) -> None:
    """By address, with the name that the certificate must have."""
    async with world.door() as door:
        found = await door.open(world.run_task())

    assert {name: found.task[name] for name in ("name", "namespace", "role", "input", "deadline")} == {
        "name": "fix-1",
        "namespace": NAMESPACE,
        "role": "helper",
        "input": {"issue": 7},
        "deadline": 1795172400.0,
    }
    assert (found.connectors["code"].url, found.connectors["code"].server_name) == (
        "https://10.96.0.2:8443",
        "doorward-connector-code.doorward-code.svc",
    )


async def test_opening_again_is_the_same_session(world: World) -> None:
    """A door whose answer was lost asks again with the same key."""
    async with world.door() as door:
        token = world.run_task()
        first, second = await door.open(token), await door.open(token)

    assert first.id == second.id


def gone(world: World) -> None:
    world.town.pods.clear()


def other_pod(world: World) -> None:
    world.pod()["metadata"]["uid"] = "another"
    world.town.pods = {key: {**pod} for key, pod in world.town.pods.items()}


def elsewhere(world: World) -> None:
    world.pod()["status"]["podIPs"] = [{"ip": "10.0.0.9"}]


def ownerless(world: World) -> None:
    del world.pod()["metadata"]["ownerReferences"]


def not_controller(world: World) -> None:
    world.pod()["metadata"]["ownerReferences"][0]["controller"] = False


def other_kind(world: World) -> None:
    world.pod()["metadata"]["ownerReferences"][0]["kind"] = "Job"


def other_account(world: World) -> None:
    world.pod()["spec"]["serviceAccountName"] = "default"


def not_enrolled(world: World) -> None:
    labels = {"kubernetes.io/metadata.name": NAMESPACE}
    world.tell(resources.NAMESPACES, {**namespace(), "metadata": {"name": NAMESPACE, "labels": labels}})


def terminating(world: World) -> None:
    world.pod()["metadata"]["deletionTimestamp"] = "2026-11-20T11:00:00Z"


def finished(world: World) -> None:
    world.pod()["status"]["phase"] = "Succeeded"


def task_gone(world: World) -> None:
    world.town.tasks.clear()


def task_again(world: World) -> None:
    found = world.town.tasks[NAMESPACE, "fix-1"]
    world.town.tasks[NAMESPACE, "fix-1"] = {**found, "metadata": {**found["metadata"], "uid": "new"}}


def task_terminating(world: World) -> None:
    found = world.town.tasks[NAMESPACE, "fix-1"]
    metadata = {**found["metadata"], "deletionTimestamp": "2026-11-20T11:00:00Z"}
    world.town.tasks[NAMESPACE, "fix-1"] = {**found, "metadata": metadata}


def changed_pod(world: World) -> None:
    world.pod()["spec"]["containers"][0]["image"] = "registry.example/evil:1"


def extra_field(world: World) -> None:
    world.pod()["spec"]["hostPID"] = True


def no_address(world: World) -> None:
    world.pod()["status"]["podIPs"] = []


def no_container(world: World) -> None:
    world.pod()["status"]["initContainerStatuses"] = []


def not_running(world: World) -> None:
    world.pod()["status"]["initContainerStatuses"][0]["state"] = {"terminated": {"exitCode": 1}}


def no_role(world: World) -> None:
    world.broker.facts.roles.clear()


def no_connector(world: World) -> None:
    world.tell(resources.CONNECTORS, connector(), gone=True)


def cluster_down(world: World) -> None:
    world.town.down = True


def no_news(world: World) -> None:
    world.broker.heartbeat._seen = None


def revoked(world: World) -> None:
    world.tell(resources.REVOCATIONS, revocation(everything=True))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (gone, Code.SESSION_INVALID),
        (other_pod, Code.SESSION_INVALID),
        (elsewhere, Code.SESSION_INVALID),
        (ownerless, Code.SESSION_INVALID),
        (not_controller, Code.SESSION_INVALID),
        (other_kind, Code.SESSION_INVALID),
        (other_account, Code.SESSION_INVALID),
        (not_enrolled, Code.SESSION_INVALID),
        (terminating, Code.TASK_ENDED),
        (finished, Code.TASK_ENDED),
        (task_gone, Code.TASK_ENDED),
        (task_again, Code.TASK_ENDED),
        (task_terminating, Code.TASK_ENDED),
        (changed_pod, Code.UNAVAILABLE),
        (extra_field, Code.UNAVAILABLE),
        (no_address, Code.UNAVAILABLE),
        (no_container, Code.UNAVAILABLE),
        (not_running, Code.UNAVAILABLE),
        (no_role, Code.UNAVAILABLE),
        (no_connector, Code.UNAVAILABLE),
        (cluster_down, Code.UNAVAILABLE),
        (no_news, Code.UNAVAILABLE),
        (revoked, Code.REVOKED),
    ],
)
async def test_whatever_is_not_a_live_door_of_a_live_task_opens_nothing(
    world: World, change: Callable[[World], None], code: Code
) -> None:
    """Each one alone is enough, and nothing is pinned by it."""
    async with world.door() as door:
        token = world.run_task()
        change(world)
        found = await code_of(door.open(token))

    assert (found, world.ledger.reader.tasks()) == (code, [])


async def test_a_door_of_before_an_upgrade_opens_after_it(world: World) -> None:
    """While what its pod was rendered with is remembered; a pod of yet other settings is not believed."""
    newer = dataclasses.replace(world.render, door_image="registry.example/door:2")
    async with world.door() as door:
        token = world.run_task()
        world.in_force[:] = [newer]
        forgotten = await code_of(door.open(token))
        world.in_force[:] = [newer, world.render]
        opened = await door.open(token)

    assert (forgotten, opened.task["name"]) == (Code.UNAVAILABLE, "fix-1")


async def test_a_token_that_is_bound_to_no_pod_opens_nothing(world: World) -> None:
    """Nor one of a user, nor one that nobody vouches for."""
    async with world.door() as door:
        world.run_task()
        unbound = world.token(world.pod(), extra={})
        user = world.token(world.pod(), username="alice")
        codes = [await code_of(door.open(token)) for token in (unbound, user, "unknown")]

    assert codes == [Code.SESSION_INVALID] * 3


async def test_a_connectors_token_opens_nothing(world: World) -> None:
    """The audience decides what a token is good for."""
    async with world.door() as door:
        world.run_task()
        assert await code_of(door.open(world.hands_token())) == Code.SESSION_INVALID


async def test_a_second_key_while_the_door_lives_is_theft(world: World) -> None:
    """The pod's status shows no newer door: after the wait the task freezes, for the real door too."""
    async with world.door() as door, world.door() as thief:
        token = world.run_task()
        await door.open(token)
        stolen = await code_of(thief.open(token))
        after = await code_of(door.actions())

    assert (stolen, after) == (Code.TASK_FROZEN, Code.TASK_FROZEN)


async def test_a_door_that_restarted_waits_for_the_kubelet(tmp_path: Path) -> None:
    """Its status may lag behind; once it shows the newer container, the new key takes over."""
    async with (
        settled(tmp_path, kubelet_seconds=10.0) as world,
        world.door() as old,
        world.door() as new,
    ):
        token = world.run_task()
        await old.open(token)
        opening = asyncio.ensure_future(new.open(token))
        await until(lambda: world.town.reviews == 2)
        world.pod()["status"]["initContainerStatuses"] = [door_status("containerd://2", 1)]
        await opening
        after = await code_of(old.actions())

        assert await new.actions() is not None
        assert after == Code.SESSION_INVALID


async def test_the_first_opening_waits_for_the_kubelet_too(tmp_path: Path) -> None:
    """Without first evidence a later one would look newer."""
    async with settled(tmp_path, kubelet_seconds=10.0) as world, world.door() as door:
        token = world.run_task()
        world.pod()["status"]["initContainerStatuses"] = []
        opening = asyncio.ensure_future(door.open(token))
        await until(lambda: world.town.reviews == 1)
        world.pod()["status"]["initContainerStatuses"] = [door_status()]

        assert (await opening).id


@pytest.mark.parametrize("resource", [resources.AGENT_TASKS, resources.PODS], ids=["task", "pod"])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "terminating"])
async def test_a_task_that_ends_while_its_session_opens_gets_none(
    tmp_path: Path, resource: Resource, *, gone: bool
) -> None:
    """The news find nothing to close yet; the session that is written after them is closed too."""
    async with settled(tmp_path, kubelet_seconds=10.0) as world, world.door() as door:
        token = world.run_task()
        found = task() if resource is resources.AGENT_TASKS else world.pod()
        world.pod()["status"]["initContainerStatuses"] = []
        opening = asyncio.ensure_future(code_of(door.open(token)))
        await until(lambda: world.town.reviews == 1)
        metadata = {**found["metadata"], "deletionTimestamp": "2026-11-20T11:00:00Z"}
        world.tell(resource, {**found, "metadata": metadata}, gone=gone)
        world.pod()["status"]["initContainerStatuses"] = [door_status()]

        assert await opening == Code.TASK_ENDED
        assert "task.ended" in [link.event for link in world.ledger.reader.walk()]
        assert world.ledger.reader.tasks() == []
        assert len(world.broker.sessions) == 0


async def test_a_session_is_good_from_its_own_pod_only(world: World) -> None:
    """The key alone, somewhere else, is nothing."""
    async with world.door() as door:
        await door.open(world.run_task())
        (open_,) = world.broker.sessions._open.values()
        object.__setattr__(open_.session, "peer", "10.0.0.8")

        assert await code_of(door.actions()) == Code.SESSION_INVALID


async def test_another_key_in_the_same_pod_is_not_the_session(world: World) -> None:
    """The agent shares the pod's address; what it does not have is the key."""
    async with world.door() as door, world.door() as agent:
        await door.open(world.run_task())
        agent._session = door._session

        assert await code_of(agent.actions()) == Code.SESSION_INVALID


async def test_a_task_in_another_pod_does_not_share_the_key(world: World) -> None:
    """Each session is one task's: the same key in two pods is two sessions."""
    key = Ed25519PrivateKey.generate()
    async with world.door(key) as door, world.door(key) as other:
        first = await door.open(world.run_task())
        second = await other.open(world.run_task("fix-2"))

    assert first.id != second.id


async def test_openings_of_one_pod_are_bounded(tmp_path: Path) -> None:
    """TokenReview is not to be melted: beyond the burst nothing is asked."""
    async with settled(tmp_path, openings_per_minute=1.0) as world, world.door() as door:
        codes = [await code_of(door.open("unknown")) for _ in range(12)]

    assert codes == [Code.SESSION_INVALID] * 10 + [Code.RATE_LIMITED] * 2
    assert world.town.reviews == 10


def test_an_identity_without_exactly_one_pod_has_none() -> None:
    """Two values of the same claim have two readings."""
    extra = {"authentication.kubernetes.io/pod-name": ["a", "b"]}

    assert Identity("x", extra=extra).pod_name == ""
