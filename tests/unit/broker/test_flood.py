"""A task that floods: it gets truthful answers, then fewer, then none, and nobody else pays for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from town import World, settled

from doorward.broker.grading import Steps
from doorward.core.grade import Cause, Grade
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal

ARGS = {"owner": "acme", "repo": "web", "number": 7, "body": "hello"}
EVIL = {**ARGS, "owner": "evil"}
NEVER = Steps(10**6, 10**6)


async def code_of(waiting: Any) -> Code:
    with pytest.raises(Refusal) as caught:
        await waiting
    return caught.value.code


async def opened(world: World, door: Door) -> None:
    await door.open(world.run_task())
    await world.prove(door)


async def written(world: World) -> None:
    """Everything that was counted is written down."""
    world.broker.conduct.look(everything=True)
    await world.broker.conduct.settle()


def bodies(world: World, event: str) -> list[dict[str, Any]]:
    return [json.loads(link.body) for link in world.ledger.reader.walk() if link.event == event]


async def test_a_flood_of_noes_leaves_a_few_lines(tmp_path: Path) -> None:
    """The first few by themselves, the rest as one sum by code; each answer still names its reason."""
    async with settled(tmp_path, denials_written=3, denial_steps=NEVER) as world, world.door() as door:
        await opened(world, door)
        codes = [await code_of(door.decide("code", "issue.comment", EVIL)) for _ in range(20)]
        codes += [await code_of(door.decide("code", "issue.explode", EVIL)) for _ in range(5)]
        await written(world)
        events = bodies(world, "action.denied")

    assert codes == [Code.NO_RULE] * 20 + [Code.UNKNOWN_ACTION] * 5
    assert [item.get("count") for item in events] == [None, None, None, 22]
    assert events[-1]["codes"] == {"no_rule": 17, "unknown_action": 5}
    assert events[-1]["task"] == "fix-1-uid"


async def test_a_limit_that_is_hit_again_and_again_leaves_a_few_lines_too(tmp_path: Path) -> None:
    """There the ledger says no itself, inside the transaction that would have said yes."""
    rule = {"limits": {"perTask": 1}}
    async with settled(tmp_path, rule, denials_written=2, denial_steps=NEVER) as world, world.door() as door:
        await opened(world, door)
        await door.decide("code", "issue.comment", ARGS)
        codes = {await code_of(door.decide("code", "issue.comment", ARGS)) for _ in range(10)}
        await written(world)
        events = bodies(world, "action.denied")

    assert codes == {Code.LIMIT_EXCEEDED}
    assert [item.get("count") for item in events] == [None, None, 8]


async def test_counted_noes_freeze_like_written_ones(tmp_path: Path) -> None:
    """At once, before anything is written, and with the story in ledger and answer."""
    changes = {"denials_written": 2, "max_denials": 10, "denial_steps": NEVER}
    async with settled(tmp_path, **changes) as world, world.door() as door:
        await opened(world, door)
        codes = [await code_of(door.decide("code", "issue.comment", EVIL)) for _ in range(12)]
        await written(world)
        (frozen,) = bodies(world, "task.frozen")

    assert codes == [Code.NO_RULE] * 11 + [Code.TASK_FROZEN]
    assert (frozen["cause"], frozen["reason"]) == ("denials", "11 denials in all")


async def test_who_calls_too_fast_is_frozen_without_a_line_for_each_call(tmp_path: Path) -> None:
    """What an empty bucket refuses costs the ledger nothing, and is counted against the task."""
    changes = {"requests_per_second": 0.001, "request_burst": 1, "burst_steps": Steps(2, 4, 6)}
    async with settled(tmp_path, **changes) as world, world.door() as door:
        await opened(world, door)
        grades, before = [], len(list(world.ledger.reader.walk()))
        while world.broker.sessions.over("fix-1-uid") is None:
            assert await code_of(door.decide("code", "issue.comment", ARGS)) == Code.RATE_LIMITED
            grades.append(world.broker.conduct.standing("fix-1-uid").grade)
        await written(world)
        told = bodies(world, "task.graded")
        (frozen,) = bodies(world, "task.frozen")
        after = len(list(world.ledger.reader.walk()))

    assert grades == sorted(grades)
    assert set(grades) == set(Grade)
    assert [item["grade"] for item in told] == ["Slow", "Cautious"]
    assert frozen["cause"] == "bursts"
    assert after - before == 3


async def test_a_slowed_task_makes_fewer_calls(tmp_path: Path) -> None:
    """Each costs as much as several did before."""
    changes = {"requests_per_second": 0.001, "request_burst": 20, "slow_factor": 10, "denials_written": 1}
    async with settled(tmp_path, denial_steps=Steps(1, 10**6), **changes) as world, world.door() as door:
        await opened(world, door)
        assert await code_of(door.decide("code", "issue.comment", EVIL)) is Code.NO_RULE
        codes = [await code_of(door.decide("code", "issue.comment", EVIL)) for _ in range(3)]

    assert codes == [Code.NO_RULE, Code.RATE_LIMITED, Code.RATE_LIMITED]


async def test_a_bucket_comes_before_signatures_and_token_reviews(tmp_path: Path) -> None:
    """A pod whose bucket is empty costs nobody anything, with whatever it calls."""
    changes = {"requests_per_second": 0.001, "request_burst": 1, "openings_per_minute": 0.001}
    async with settled(tmp_path, **changes) as world, world.door() as door, world.door() as stranger:
        for _ in range(10):
            assert await code_of(door.open("nonsense")) is Code.SESSION_INVALID
        before = world.town.reviews
        openings = [await code_of(door.open("nonsense")) for _ in range(5)]
        calls = [await code_of(stranger.actions()) for _ in range(3)]

    assert openings == [Code.RATE_LIMITED] * 5
    assert world.town.reviews == before
    assert calls == [Code.SESSION_INVALID, Code.SESSION_INVALID, Code.RATE_LIMITED]


async def test_replays_are_few_lines_and_freeze_in_the_end(tmp_path: Path) -> None:
    """A spent capability that comes again and again: told three times, counted always."""
    async with settled(tmp_path, replay_steps=Steps(1, 2, 8)) as world, world.door() as door:
        await opened(world, door)
        decision = await door.decide("code", "issue.comment", ARGS)
        token = world.hands_token()
        await world.redeem(decision.capability, token)
        codes = []
        for number in range(9):
            _, answer = await world.redeem(decision.capability, token, nonce=f"other-{number}")
            codes.append(answer["code"])
        await written(world)
        refusals = bodies(world, "redemption.refused")
        (frozen,) = bodies(world, "task.frozen")

    assert codes == ["replayed"] * 8 + ["task_frozen"]
    assert [item.get("count") for item in refusals] == [None, None, None, 6]
    assert refusals[-1]["codes"] == {"replayed": 5, "task_frozen": 1}
    assert frozen["cause"] == Cause.REPLAYS


async def test_a_grade_outlives_the_process_and_ends_with_time(tmp_path: Path) -> None:
    """A restart makes nobody calm; when the time is over the ledger is told."""
    now = [0.0]
    async with settled(tmp_path, denial_steps=Steps(1, 2), denials_written=1) as world, world.door() as door:
        await opened(world, door)
        for _ in range(2):
            await code_of(door.decide("code", "issue.comment", EVIL))
        await written(world)
        conduct = world.broker.conduct
        conduct.forget("fix-1-uid")
        await world.broker.load()
        restored = conduct.standing("fix-1-uid")
        now[0] = restored.until + 1
        conduct.clock = lambda: now[0]
        await written(world)
        grades = [item["grade"] for item in bodies(world, "task.graded")]

    assert (restored.grade, restored.cause) == (Grade.CAUTIOUS, Cause.DENIALS)
    assert grades == ["Slow", "Cautious", "Calm"]
    assert not conduct.cautious("fix-1-uid")


async def test_a_no_that_is_nobodys_fault_counts_against_nobody(tmp_path: Path) -> None:
    """Waiting for people is no misbehaviour, however often the agent asks."""
    async with settled(tmp_path, denial_steps=Steps(1, 2)) as world:
        conduct = world.broker.conduct
        for code in (Code.APPROVAL_PENDING, Code.APPROVAL_REQUIRED, Code.UNAVAILABLE):
            conduct.denied("fix-1-uid", code, written=True)

        assert conduct.standing("fix-1-uid").grade is Grade.CALM
