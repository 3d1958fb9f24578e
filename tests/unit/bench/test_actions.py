"""The benchmark of actions works: its load and its upstream, and what it makes of figures."""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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


async def test_the_load_goes_straight_and_through_a_door(tmp_path: Path) -> None:
    """Every answer is checked and counted, and the upstream was given as many comments as were asked for."""
    authority = Authority(tmp_path)
    async with program("forge.py", *map(str, authority.issue("forge.test"))) as forge:
        port = await told(forge)
        async with door_rig(authority, tmp_path, f"https://127.0.0.1:{port}") as door:
            words = (str(authority.bundle_file), str(port), str(door.port))
            async with program("caller.py", *words) as caller:
                brief = {"seconds": 0.2, "warm": 0.0, "size": 100}
                found = [
                    await told(caller, direct=True, clients=2, **brief),
                    await told(caller, direct=False, clients=2, **brief),
                    await told(caller, direct=False, clients=8, rate=100.0, **brief),
                ]
            async with door.behind.http.get(f"https://127.0.0.1:{port}/") as answer:
                comments = (await answer.json())["comments"]

    assert [one["asked"] == len(one["seconds"]) for one in found] == [True] * 3
    assert comments == sum(one["asked"] for one in found) > 0
    assert len(door.behind.broker.outcomes) == found[1]["asked"] + found[2]["asked"]


async def test_an_answer_that_is_not_the_expected_one_ends_the_load(tmp_path: Path) -> None:
    """A fast refusal is no result."""
    authority = Authority(tmp_path)
    async with (
        door_rig(authority, tmp_path, max_response=100) as door,
        program("caller.py", str(authority.bundle_file), "1", str(door.port)) as caller,
    ):
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdin.write(b'{"direct": false, "clients": 1, "seconds": 0.2}\n')
        said = await caller.stdout.read()

    assert (said, caller.returncode) == (b"", 1)


def test_what_has_a_target_is_set_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Medians of the passes, what the doors add to them, and ratios above one where it is good enough."""
    for folder in (TESTS / "bench", ACTIONS):
        monkeypatch.syspath_prepend(folder)
    bench = runpy.run_path(str(ACTIONS / "results.py"))
    parts = {"broker": 1.0, "doors": 2.0}
    passes = [
        {"shape": shape, "way": way, "cpu": parts, "p50": p50, "p99": 2 * p50, "max": 9.0, "rate": 1600.0}
        for shape in bench["SHAPES"]
        for way, p50 in (("straight", 1.0), ("through", 3.5), ("straight", 1.0), ("through", 3.5))
    ]
    lines = list(bench["report"](passes, Namespace(doors=8, size=1024, passes=2, seconds=1.0)))
    rows = {line[:58].strip(): line[58:].split() for line in lines[-8:]}

    assert rows["added to an action, 1 client, p50"] == ["2.5", "ms", "<=", "5", "2.00"]
    assert rows["added to an action, 16 clients, p99"] == ["5.0", "ms", "<=", "50", "10.00"]
    assert rows["actions a second, 64 clients"] == ["1600", "/s", ">=", "800", "2.00"]
    assert set(bench["figures"](bench["middles"](passes))) < set(sys.modules["figures"].targets())
