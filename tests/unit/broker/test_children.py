"""An agent starts a task: within its role, with no more than it has itself, once per request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from town import NAMESPACE, World, role, settled, task

from doorward import serving
from doorward.api.v1alpha1 import AgentTask
from doorward.core import ids
from doorward.door.broker import Broker as Door
from doorward.door.hands import Hands
from doorward.door.listener import Door as Listener
from doorward.door.listener import door_app
from doorward.errors import Code, Refusal
from doorward.kube import Object, resources

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}


def delegating(**delegation: Any) -> Object:
    """The role, which may start one task of its own kind."""
    found = role()
    found["spec"]["delegation"] = {"roles": ["helper"], **delegation}
    return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path) as made:
        made.tell(resources.AGENT_ROLES, delegating())
        yield made


async def opened(world: World, door: Door, name: str = "fix-1", **spec: Any) -> None:
    await door.open(world.run_task(name, **spec))
    await world.prove(door)


async def denied(waiting: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value


def made(world: World) -> list[Object]:
    """The children in the cluster."""
    return [item for item in world.town.tasks.values() if "parent" in item["spec"]]


async def test_a_child_is_made_as_its_parent_is(world: World) -> None:
    """Requester, image and time to live are inherited; owner and parent are the task that asked."""
    async with world.door() as door:
        await opened(world, door, deadline="10m")
        answer: Any = await door.start_child({"role": "helper", "input": {"issue": 8}, "deadline": "1h"})
    child = AgentTask.parse(made(world)[0])

    assert answer["task"] == {"name": child.metadata.name, "uid": child.metadata.uid, "role": "helper"}
    assert made(world)[0]["metadata"]["ownerReferences"] == [
        {"apiVersion": "doorward.dev/v1alpha1", "kind": "AgentTask", "name": "fix-1", "uid": "fix-1-uid"}
    ]
    assert (child.spec.requested_by, child.spec.agent.image) == ("alice", "registry.example/agents/fixer:1")
    assert (child.spec.deadline, child.spec.input) == ("10m", {"issue": 8})
    assert child.spec.parent is not None
    assert child.spec.parent.uid == "fix-1-uid"


async def test_the_same_request_is_the_same_child(world: World) -> None:
    """A door that asks again because the answer was lost starts nothing twice."""
    body = {"role": "helper", "request": ids.uuid7()}
    async with world.door() as door:
        await opened(world, door)
        answers = [await door._ask("POST", "/v1/tasks", body) for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(made(world)) == 1


async def test_a_second_child_is_one_too_many(world: World) -> None:
    """The role says one; the no is in the ledger like any other."""
    async with world.door() as door:
        await opened(world, door)
        await door.start_child({"role": "helper"})
        refusal = await denied(door.start_child({"role": "helper"}))
    bodies = [json.loads(link.body) for link in world.ledger.reader.walk() if link.event == "action.denied"]

    assert (refusal.code, refusal.decision is not None) == (Code.LIMIT_EXCEEDED, True)
    assert [(item["action"], item["code"]) for item in bodies] == [("task.start", "limit_exceeded")]
    assert len(made(world)) == 1


async def test_other_roles_are_refused(world: World) -> None:
    """What the role does not name is not started."""
    async with world.door() as door:
        await opened(world, door)
        refusal = await denied(door.start_child({"role": "admin"}))

    assert (refusal.code, refusal.allowed, made(world)) == (Code.NO_RULE, "helper", [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "helper", "requestedBy": "bob"},
        {"role": "helper", "parent": {"name": "other", "uid": "other"}},
        {"role": "helper", "ttlAfterFinished": "720h"},
        {"role": 1},
        {"role": "helper", "agent": {"image": "a:1", "secret": "s"}},
        {"role": "helper", "deadline": "tomorrow"},
    ],
)
async def test_a_child_is_what_the_schema_says(world: World, body: dict[str, Any]) -> None:
    """Nothing that its parent's agent may not choose, and no field that nobody knows."""
    async with world.door() as door:
        await opened(world, door)
        refusal = await denied(door.start_child(body))

    assert (refusal.code, made(world)) == (Code.MALFORMED, [])


async def test_a_name_that_is_taken_is_not_the_child(world: World) -> None:
    """Somebody else's task of that name is not handed out as one's own."""
    body = {"role": "helper", "request": ids.uuid7()}
    async with world.door() as door:
        await opened(world, door)
        await door._ask("POST", "/v1/tasks", body)
        (key,) = [key for key, item in world.town.tasks.items() if "parent" in item["spec"]]
        world.town.tasks[key] = task(key[1])
        refusal = await denied(door._ask("POST", "/v1/tasks", body))

    assert refusal.code is Code.RESERVED


async def test_a_child_may_what_its_parent_may(world: World) -> None:
    """Until the parent is deleted; from then on nothing."""
    async with world.door() as parent, world.door() as child:
        await opened(world, parent)
        named = {"parent": {"name": "fix-1", "uid": "fix-1-uid"}}
        await opened(world, child, "fix-2", **named)
        before = await child.decide("code", "issue.comment", ARGS)
        shown: Any = await parent.children()
        world.tell(resources.AGENT_TASKS, task("fix-1"), gone=True)
        after = await denied(child.decide("code", "issue.comment", ARGS))

    assert before.capability
    assert [item["name"] for item in shown["tasks"]] == ["fix-2"]
    assert after.code is Code.TASK_ENDED


async def test_a_child_is_held_to_its_parents_scope(world: World) -> None:
    """The child's own scope may say what it likes."""
    async with world.door() as parent, world.door() as child:
        await opened(world, parent, scope={"repositories": ["acme/api"]})
        named = {"parent": {"name": "fix-1", "uid": "fix-1-uid"}}
        await opened(world, child, "fix-2", scope={"repositories": ["acme/web"]}, **named)
        refusal = await denied(child.decide("code", "issue.comment", ARGS))

    assert refusal.code is Code.OUT_OF_SCOPE


async def test_a_child_of_another_namespace_has_no_parent(world: World) -> None:
    """Authority does not cross namespaces."""
    other = task("fix-1")
    other["metadata"] |= {"namespace": "elsewhere"}
    async with world.door() as parent, world.door() as child:
        await opened(world, parent)
        await opened(world, child, "fix-2", parent={"name": "fix-1", "uid": "fix-1-uid"})
        world.tell(resources.AGENT_TASKS, other)
        refusal = await denied(child.decide("code", "issue.comment", ARGS))

    assert refusal.code is Code.TASK_ENDED
    assert NAMESPACE != "elsewhere"


async def test_the_agent_asks_its_door(world: World) -> None:
    """What the agent sends on loopback is what the broker makes, and what it sees of it afterwards."""
    key = Ed25519PrivateKey.generate()
    hands = Hands(serving.client_context(world.authority.bundle), key)
    async with world.door(key) as client, aiohttp.ClientSession() as http:
        app = door_app(Listener(await client.open(world.run_task()), client, hands))
        await world.prove(client)
        async with serving.listening(app, "127.0.0.1", 0, None, 0.1) as bound:
            url = f"http://127.0.0.1:{bound.port}/v1/tasks"
            answers = []
            for _ in range(2):
                async with http.post(url, json={"role": "helper"}) as response:
                    answers.append((response.status, await response.json(content_type=None)))
            world.tell(resources.AGENT_TASKS, made(world)[0])
            async with http.get(url) as response:
                shown = await response.json()
    await hands.close()

    assert [status for status, _ in answers] == [201, 403]
    assert answers[1][1]["code"] == "limit_exceeded"
    assert shown["tasks"] == [{**answers[0][1]["task"], "phase": "Pending"}]
