"""Thaws that come before what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from bareapi import BareApi, serving
from town import GROUP, NAMESPACE, World, settled, task

from doorward.broker.facts import Lift
from doorward.broker.informers import Feed
from doorward.broker.showing import stamp
from doorward.core.clock import system
from doorward.core.grade import Cause
from doorward.kube import Change, ChangeType, Client, Object, resources


def thaw(user: str) -> Object:
    """A Thaw of the task of these tests."""
    metadata = {
        "name": "look",
        "namespace": NAMESPACE,
        "uid": "look",
        "creationTimestamp": stamp(system() + 5),
    }
    spec = {"task": "fix-1", "reason": "looked at it", "user": user}
    return {"apiVersion": GROUP, "kind": "Thaw", "metadata": metadata, "spec": spec}


async def told(world: World, client: Client, found: Object) -> None:
    """The news of a Thaw, carried into the ledger."""
    broker = world.broker
    feed = Feed(client, broker.facts, broker.sessions, broker.ledger, broker.conduct)
    (lift,) = broker.facts.apply(resources.THAWS, Change(ChangeType.PRESENT, found))
    assert isinstance(lift, Lift)
    assert await feed._done(lift)


@pytest.mark.parametrize(("user", "state"), [("mona", "frozen"), ("carol", "live")])
async def test_who_made_a_task_does_not_thaw_it_before_the_watch_tells_of_it(
    tmp_path: Path, user: str, state: str
) -> None:
    """As when the broker starts: each kind is listed by itself, and Thaws may come before tasks."""
    async with settled(tmp_path) as world, world.door() as door, serving(BareApi(task())) as client:
        await door.open(world.run_task())
        await world.ledger.freeze("fix-1-uid", "a breach", Cause.FENCE_BREACH)
        world.broker.facts.tasks.clear()
        await told(world, client, thaw(user))
        (row,) = world.ledger.reader.tasks()

    assert row.state == state
