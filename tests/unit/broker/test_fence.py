"""Nothing is decided for a session whose fence is not known to hold now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from town import World, settled, task
from waiting import until

from doorward.broker.canaries import Canaries
from doorward.broker.settings import CanaryAddress
from doorward.door import canary
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.kube import resources

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with settled(tmp_path) as made:
        yield made


async def refused(waiting: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value


async def report(door: Door, *probes: dict[str, Any]) -> None:
    await door._ask("POST", "/v1/fence", {"probes": list(probes)})


def later(world: World, seconds: float) -> None:
    """Let time pass for the sessions."""
    world.broker.sessions.monotonic = lambda: time.monotonic() + seconds


def events(world: World) -> list[str]:
    return [link.event for link in world.ledger.reader.walk()]


async def test_nothing_is_decided_before_the_fence_is_proven(world: World) -> None:
    """The door is told what to wait for, and nothing is written down."""
    async with world.door() as door:
        await door.open(world.run_task())
        refusal = await refused(door.decide("code", "issue.comment", ARGS))
        before = events(world)
        await world.prove(door)
        decision = await door.decide("code", "issue.comment", ARGS)

    assert (refusal.code, refusal.ask) == (Code.UNAVAILABLE, "wait for the door's next report")
    assert before[-1] == "session.opened"
    assert decision.capability


async def test_a_report_of_the_fence_grows_old(world: World) -> None:
    """After 90 seconds nothing is decided until the next one."""
    async with world.door() as door:
        await door.open(world.run_task())
        await world.prove(door)
        later(world, 89.0)
        fresh = await door.decide("code", "issue.comment", ARGS)
        later(world, 90.0)
        refusal = await refused(door.decide("code", "issue.comment", ARGS))
        await world.prove(door)
        again = await door.decide("code", "issue.comment", ARGS)

    assert fresh.capability
    assert refusal.code == Code.UNAVAILABLE
    assert again.capability
    assert events(world).count("fence.proven") == 1


PARTS: dict[str, Any] = {
    "no datagrams tried": lambda tcp, _: [tcp],
    "no connections tried": lambda _, udp: [udp],
    "another name": lambda tcp, udp: [{**tcp, "name": "metadata"}, udp],
    "another address": lambda tcp, udp: [{**tcp, "host": "169.254.169.254"}, udp],
    "another port": lambda tcp, udp: [tcp, {**udp, "port": 9}],
    "one protocol for both": lambda tcp, _: [tcp, {**tcp, "name": "udp"}],
}


@pytest.mark.parametrize("name", PARTS)
async def test_only_canaries_prove_a_fence(world: World, name: str) -> None:
    """One of each protocol, at the address where the broker finds it; all else may be silent by itself."""
    async with world.door() as door:
        await door.open(world.run_task())
        refusal = await refused(report(door, *PARTS[name](*world.probes())))
        decision = await refused(door.decide("code", "issue.comment", ARGS))

    assert (refusal.code, decision.code) == (Code.UNAVAILABLE, Code.UNAVAILABLE)
    assert "fence.proven" not in events(world)


async def test_a_canary_that_has_just_died_proves_nothing(tmp_path: Path) -> None:
    """Its last answer still counts for what doors are told: a report is held against a new one."""
    async with canary.serving("127.0.0.1", 0) as port:
        known = tuple(CanaryAddress(name, "127.0.0.1", port, name) for name in ("tcp", "udp"))
        enter = settled(tmp_path, canaries=known)
        world = await enter.__aenter__()
    try:
        async with world.door() as door:
            found = await door.open(world.run_task())
            refusal = await refused(world.prove(door))
            decision = await refused(door.decide("code", "issue.comment", ARGS))
    finally:
        await enter.__aexit__(None, None, None)

    assert [one.alive for one in found.canaries] == [True, True]
    assert (refusal.code, decision.code) == (Code.UNAVAILABLE, Code.UNAVAILABLE)
    assert "tcp, udp" in refusal.detail


async def test_without_canaries_nothing_is_decided(tmp_path: Path) -> None:
    """An empty setting does not switch the proof off."""
    probe = {"name": "metadata", "host": "169.254.169.254", "port": 80, "protocol": "tcp", "blocked": True}
    async with settled(tmp_path, canaries=()) as world, world.door() as door:
        await door.open(world.run_task())
        refusal = await refused(report(door, probe))
        decision = await refused(door.decide("code", "issue.comment", ARGS))

    assert (refusal.code, decision.code) == (Code.UNAVAILABLE, Code.UNAVAILABLE)


async def test_reports_that_come_together_share_a_look_at_the_canaries() -> None:
    """A thousand doors are no thousand connections; whoever comes during a round waits for the next."""
    came: list[str] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append("a connection")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known = Canaries([CanaryAddress("tcp", "127.0.0.1", port, "tcp")])
    where = ("tcp", "127.0.0.1", port, "tcp")
    found = await asyncio.gather(*(known.silent({where}) for _ in range(50)))
    together = len(came)
    first = asyncio.ensure_future(known.silent({where}))
    await until(known._turn.locked)
    second = await known.silent({where})
    await first
    server.close()
    await server.wait_closed()

    assert (found, second) == ([[]] * 50, [])
    assert together == 1
    assert len(came) == 3


async def test_sessions_of_a_restarted_broker_have_a_grace(tmp_path: Path) -> None:
    """Their agents started behind a proven fence; after 90 seconds it must have been shown again."""
    key = Ed25519PrivateKey.generate()
    async with settled(tmp_path) as world, world.door(key) as door:
        await door.open(world.run_task())
        await world.prove(door)
        session = door._session
    async with settled(tmp_path) as world, world.door(key) as door:
        world.tell(resources.AGENT_TASKS, task())
        door._session = session
        later(world, 89.0)
        early = await door.decide("code", "issue.comment", ARGS)
        later(world, 90.0)
        late = await refused(door.decide("code", "issue.comment", ARGS))
        await world.prove(door)
        proven = await door.decide("code", "issue.comment", ARGS)

    assert late.code == Code.UNAVAILABLE
    assert early.capability
    assert proven.capability


async def test_a_ledger_that_fails_keeps_no_breached_task_going(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen from the first moment, whatever was granted before; written down when the disk is back."""
    broken, freeze, record = [True], world.ledger.freeze, world.ledger.record

    async def failing_freeze(*facts: Any) -> bool:
        if broken[0]:
            raise Refusal(Code.UNAVAILABLE, "the disk is full")
        return await freeze(*facts)

    async def failing_record(*facts: Any, **more: Any) -> Any:
        if broken[0]:
            raise Refusal(Code.UNAVAILABLE, "the disk is full")
        return await record(*facts, **more)

    async with world.door() as door:
        await door.open(world.run_task())
        await world.prove(door)
        granted = await door.decide("code", "issue.comment", ARGS)
        monkeypatch.setattr(world.ledger, "freeze", failing_freeze)
        monkeypatch.setattr(world.ledger, "record", failing_record)
        told = await refused(report(door, {**world.probes()[0], "blocked": False}))
        decision = await refused(door.decide("code", "issue.comment", ARGS))
        monkeypatch.setattr(world.ledger, "record", record)
        _, redemption = await world.redeem(granted.capability, world.hands_token())
        state = world.ledger.reader.tasks()[0].state
        broken[0] = False
        await until(lambda: "fence.breached" in events(world))

    assert (told.code, decision.code, redemption["code"]) == (
        Code.TASK_FROZEN,
        Code.TASK_FROZEN,
        "task_frozen",
    )
    assert (state, world.ledger.reader.tasks()[0].state) == ("live", "frozen")
