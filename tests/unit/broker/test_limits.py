"""Bounds over more than one task, over the wire: kept by name, settled by outcomes, shown to the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from town import NAMESPACE, World, connector, role, settled

from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import resources

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}
OUTCOME = {"outcome": "succeeded", "status": 201, "references": [], "bytes": 12, "sent": True}


def bounded(uid: str = "role-uid", **ceilings: Any) -> dict[str, Any]:
    """The role with ceilings, perhaps made anew."""
    found = role()
    return {
        **found,
        "metadata": {**found["metadata"], "uid": uid},
        "spec": {**found["spec"], "ceilings": ceilings},
    }


async def tried(door: Door, action: str = "issue.comment", **args: Any) -> Code | None:
    """The code of the no; None for a yes."""
    try:
        await door.decide("code", action, {**ARGS, **args})
    except Refusal as refusal:
        return refusal.code
    return None


async def in_tasks(world: World, *tasks: tuple[str, str]) -> list[Code | None]:
    """One comment in each of these tasks, of these people, one after the other."""
    found = []
    for name, who in tasks:
        async with world.door() as door:
            await door.open(world.run_task(name, requestedBy=who))
            await world.prove(door)
            found.append(await tried(door))
    return found


async def test_one_person_cannot_make_more_tasks_to_get_more(tmp_path: Path) -> None:
    """Counted by name in the role; making the role anew resets nothing, and others are not touched."""
    async with settled(tmp_path) as world:
        world.tell(resources.AGENT_ROLES, bounded(perRequester={"perDay": 2}))
        first = await in_tasks(world, ("a", "alice"), ("b", "alice"), ("c", "alice"), ("d", "bob"))
        world.tell(resources.AGENT_ROLES, role(), gone=True)
        world.tell(resources.AGENT_ROLES, bounded("role-2", perRequester={"perDay": 2}))
        again = await in_tasks(world, ("e", "alice"))

    assert [first, again] == [[None, None, Code.LIMIT_EXCEEDED, None], [Code.LIMIT_EXCEEDED]]


async def test_a_connector_bounds_a_namespace(tmp_path: Path) -> None:
    """Over all its tasks and by effect; making the Connector anew resets nothing."""
    tenant = {
        "namespaces": {"selector": {"matchLabels": {"doorward.dev/enforced": "true"}}},
        "effects": ["read", "draft"],
        "ceilings": {"perMinute": {"draft": 2}},
    }
    limited = connector(tenants=[tenant])
    async with settled(tmp_path) as world:
        world.tell(resources.CONNECTORS, limited)
        first = await in_tasks(world, ("a", "alice"), ("b", "bob"), ("c", "carol"))
        world.tell(resources.CONNECTORS, limited, gone=True)
        world.tell(
            resources.CONNECTORS, {**limited, "metadata": {**limited["metadata"], "uid": "connector-2"}}
        )
        async with world.door() as door:
            await door.open(world.run_task("d"))
            await world.prove(door)
            draft = await tried(door)
            read = await door.decide(
                "code", "issue.read", {name: ARGS[name] for name in ("owner", "repo", "number")}
            )

    assert [first, draft, bool(read.capability)] == [
        [None, None, Code.LIMIT_EXCEEDED],
        Code.LIMIT_EXCEEDED,
        True,
    ]


async def test_bytes_are_set_aside_and_settled(tmp_path: Path) -> None:
    """Room for one answer of 4 MiB: the second action waits for the outcome of the first."""
    async with settled(tmp_path) as world, world.door() as door:
        await door.open(world.run_task(budgets={"bytes": "5Mi"}))
        await world.prove(door)
        first = await door.decide("code", "issue.comment", ARGS)
        refused = await tried(door)
        token = world.hands_token()
        _, spent = await world.redeem(first.capability, token)
        await world.call_hands("/v1/outcomes", {"redemption": spent["redemption"], **OUTCOME}, token)
        after = await tried(door)
        listed: Any = await door.actions()
    shown = [item for row in listed["actions"] for item in row["limits"] if row["action"] == "issue.comment"]

    assert [refused, after] == [Code.BUDGET_EXHAUSTED, None]
    assert [{**item, "used": item["used"] // 2**20} for item in shown] == [
        {
            "limit": 5 * 2**20,
            "used": 4,
            "windowSeconds": None,
            "unit": "bytes",
            "of": "task",
            "bound": "5242880 bytes in all under the task's budget",
        }
    ]


SAID: list[tuple[dict[str, Any], int]] = [
    ({"usage": {"tokens": 3, "spend": 4}}, 200),
    ({"usage": {}}, 200),
    ({"references": [{"kind": "issue", "id": "7", "state": "closed"}]}, 200),
    ({"usage": {"tokens": -1}}, 400),
    ({"usage": {"tokens": True}}, 400),
    ({"usage": {"tokens": 1.5}}, 400),
    ({"usage": {"tokens": 2**60}}, 400),
    ({"usage": {"minutes": 1}}, 400),
    ({"usage": [1]}, 400),
    ({"more": 1}, 400),
    ({"usage": {}, "more": 1}, 400),
    ({"references": [{"kind": "issue", "id": "7", "state": "lost"}]}, 400),
    ({"references": [{"kind": "issue", "id": "7", "state": "open", "more": 1}]}, 400),
]


async def test_what_an_outcome_may_say(tmp_path: Path) -> None:
    """Usage is whole and bounded numbers of what is counted; a reference may say whether it is closed."""
    found = []
    async with settled(tmp_path) as world, world.door() as door:
        await door.open(world.run_task())
        await world.prove(door)
        token = world.hands_token()
        for change, _ in SAID:
            decision = await door.decide("code", "issue.comment", ARGS)
            _, spent = await world.redeem(decision.capability, token, nonce=decision.id)
            report = {"redemption": spent["redemption"], **OUTCOME, **change}
            found.append((change, (await world.call_hands("/v1/outcomes", report, token))[0]))

    assert found == SAID


async def test_the_broker_seats_no_more_tasks_than_the_role_has_room_for(tmp_path: Path) -> None:
    """Whatever the operator started: the door of the second task waits until the first has ended."""
    async with settled(tmp_path) as world:
        world.tell(resources.AGENT_ROLES, bounded(tasks=1))
        async with world.door() as first, world.door() as second:
            await first.open(world.run_task("a"))
            token = world.run_task("b")
            with pytest.raises(Refusal) as caught:
                await second.open(token)
            await world.ledger.end("a-uid", "done")
            session = await second.open(token)

    assert (caught.value.code, NAMESPACE) == (Code.RATE_LIMITED, session.task["namespace"])
