"""The benchmark of actions works: its load and its upstream, and what it makes of figures."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from rigs import door_rig

TESTS = Path(__file__).parents[2]
ACTIONS = TESTS / "bench" / "actions"


@asynccontextmanager
async def program(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One of the benchmark's programs, which ends with its standard input."""
    command = [sys.executable, str(ACTIONS / words[0]), *words[1:]]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    env = {**os.environ, "PYTHONPATH": str(TESTS / "support")}
    process = await asyncio.create_subprocess_exec(*command, **pipes, env=env, limit=2**24)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def told(process: asyncio.subprocess.Process, **order: Any) -> Any:
    """What a program says next, after an order if there is one."""
    assert process.stdin is not None
    assert process.stdout is not None
    if order:
        process.stdin.write(json.dumps(order).encode() + b"\n")
    return json.loads(await process.stdout.readline())


@asynccontextmanager
async def bare_door(authority: Authority, upstream: int) -> AsyncIterator[int]:
    """The port of a bare door, with its bare broker and connector."""
    bundle = str(authority.bundle_file)
    async with AsyncExitStack() as stack:

        async def part(name: str, *words: object) -> int:
            process = program("bare.py", bundle, name, *map(str, words))
            return int(await told(await stack.enter_async_context(process)))

        broker = await part("broker", *authority.issue("bare-broker"))
        connector = await part("connector", *authority.issue("bare-connector"), broker, upstream)
        yield await part("door", broker, connector)


async def test_the_load_goes_straight_and_through_doors(tmp_path: Path) -> None:
    """Every answer is checked and counted, and the upstream was given as many comments as were asked for."""
    authority = Authority(tmp_path)
    async with program("forge.py", *map(str, authority.issue("forge.test"))) as forge:
        port = await told(forge)
        async with (
            door_rig(authority, tmp_path, f"https://127.0.0.1:{port}") as door,
            bare_door(authority, port) as bare,
            program("caller.py", str(authority.bundle_file)) as caller,
        ):
            brief = {"seconds": 0.2, "warm": 0.0, "size": 100}
            arriving = {"clients": 8, "rate": 100.0, **brief}
            found = [
                await told(caller, direct=True, ports=[port], clients=2, **brief),
                await told(caller, direct=False, ports=[bare], **arriving),
                await told(caller, direct=False, ports=[door.port], clients=2, **brief),
                await told(caller, direct=False, ports=[door.port], **arriving),
            ]
            async with door.behind.http.get(f"https://127.0.0.1:{port}/") as answer:
                comments = (await answer.json())["comments"]

    assert [one["asked"] == len(one["seconds"]) for one in found] == [True] * 4
    assert found[1]["asked"] == found[3]["asked"] > 0
    assert comments == sum(one["asked"] for one in found)
    assert len(door.behind.broker.outcomes) == found[2]["asked"] + found[3]["asked"]


async def test_the_bare_path_carries_bodies_as_large_as_the_product(tmp_path: Path) -> None:
    """All that is sent to a broker for one comment, within a quarter: a stand-in's names are shorter."""
    body = {"body": "x" * 1024}
    bare = runpy.run_path(str(ACTIONS / "bare.py"))
    comment = json.dumps(body, separators=(",", ":")).encode()
    sizes = {
        "/v1/decisions": len(comment + bare["_TO_DECIDE"]),
        "/v1/redemptions": len(bare["_REDEEM"]),
        "/v1/outcomes": len(bare["_OUTCOME"]),
    }
    async with (
        door_rig(Authority(tmp_path), tmp_path) as door,
        door.behind.http.post(
            f"http://127.0.0.1:{door.port}/via/code/api/v1/repos/acme/web/issues/7/comments", json=body
        ) as answer,
    ):
        assert answer.status == 201

    found = {path: len(json.dumps(sent, separators=(",", ":"))) for path, sent in door.behind.broker.calls}
    assert {path: found[path] for path in sizes} == {
        path: pytest.approx(size, rel=0.25) for path, size in sizes.items()
    }


async def test_an_answer_that_is_not_the_expected_one_ends_the_load(tmp_path: Path) -> None:
    """A fast refusal is no result."""
    authority = Authority(tmp_path)
    async with (
        door_rig(authority, tmp_path, max_response=100) as door,
        program("caller.py", str(authority.bundle_file)) as caller,
    ):
        assert caller.stdin is not None
        assert caller.stdout is not None
        order = {"direct": False, "ports": [door.port], "clients": 1, "seconds": 0.2}
        caller.stdin.write(json.dumps(order).encode() + b"\n")
        said = await caller.stdout.read()

    assert (said, caller.returncode) == (b"", 1)


def test_what_has_a_target_is_set_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Medians of the passes, what the doors add to them, and ratios above one where it is good enough.

    The bare path is set beside the product's, and has no target.
    """
    for folder in (TESTS / "bench", ACTIONS):
        monkeypatch.syspath_prepend(folder)
    bench = runpy.run_path(str(ACTIONS / "results.py"))
    ways = {"straight": (1.0, 8000.0, 0.0), "bare": (1.5, 4000.0, 0.5), "through": (3.5, 1600.0, 2.0)}
    passes = [
        {
            "shape": shape,
            "way": way,
            "cpu": {"broker": used, "connector": used, "doors": 2 * used, "load": 1.0},
            "p50": p50,
            "p99": 2 * p50,
            "max": 9.0,
            "rate": rate,
        }
        for shape in bench["SHAPES"]
        for way, (p50, rate, used) in [*ways.items(), *ways.items()]
    ]
    lines = list(bench["report"](passes, Namespace(doors=8, size=1024, passes=2, seconds=1.0, fsync=0.0)))
    rows = {line[:58].strip(): line[58:].split() for line in lines[-10:]}

    assert rows["added to an action, 1 client, p50"] == ["2.5", "ms", "<=", "5", "2.00"]
    assert rows["added to an action, 16 clients, p99"] == ["5.0", "ms", "<=", "50", "10.00"]
    assert rows["actions a second, 64 clients"] == ["1600", "/s", ">=", "800", "2.00"]
    assert rows["the same over the bare path, where nothing is done"] == ["4000", "/s"]
    assert rows["CPU time of an action : bare path, 64 clients"] == ["4.0", "x"]
    assert [line.split() for line in lines if line.startswith("64-clients")][-3:] == [
        ["64-clients", "bare", "0.50", "0.50", "1.00", "1.00"],
        ["64-clients", "through", "2.00", "2.00", "4.00", "1.00"],
        ["64-clients", "ratio", "4.00", "4.00", "4.00"],
    ]
    assert set(bench["figures"](passes)) < set(sys.modules["figures"].targets())
    assert [bench["figures"](passes, fsync) for fsync in (1.0, 5.0)] == [{"actions-slow-disk": 1600.0}, {}]
