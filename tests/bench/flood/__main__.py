"""`just bench-flood`: what others notice while one agent sends ten thousand denied calls in a minute.

A real API server, a broker in a process of its own with its usual buckets, some tasks that act at a
steady pace, each from its own address, and after a while one that floods from another. Printed is how
long the others' actions (a decision and its redemption) took before and meanwhile, what the flood was
answered, how the ledger grew by it, and what became of the task.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

from attempts import ARGS, prove
from stage import World, world

from doorward.door.broker import Broker as Door

FLOODER = "127.0.2.1"
PACE = 0.1
"""Seconds between two actions of one of the others."""


async def pause(seconds: float) -> None:
    """Keep the pace."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


async def acting(made: World, door: Door, seconds: list[float]) -> None:
    """One of the others, for ever."""
    while True:
        await prove(door)
        for _ in range(200):
            began = time.monotonic()
            decision = await door.decide("code", "issue.comment", ARGS)
            assert await made.redeem(decision.capability) == ""
            seconds.append(time.monotonic() - began)
            await pause(PACE)


async def flooding(made: World, door: Door, calls: int, minute: float) -> dict[str, int]:
    """The flood, in a process of its own: what it costs must not count against the others' clock."""
    key = door._key.private_bytes_raw().hex()
    words = (str(made.authority.bundle_file), str(door._url), str(door._session), key, FLOODER)
    command = [sys.executable, str(Path(__file__).with_name("flooder.py")), *words, str(calls), str(minute)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    found: dict[str, int] = json.loads(printed)
    return found


def told(name: str, seconds: list[float]) -> None:
    """One line, in milliseconds."""
    cut = quantiles(seconds, n=100, method="inclusive")
    sys.stdout.write(f"{name:<12}{1000 * cut[49]:>10.1f}{1000 * cut[98]:>10.1f}{len(seconds):>8}\n")
    sys.stdout.flush()


def rows(folder: Path) -> tuple[int, list[tuple[str, str]]]:
    """How many events there are, and those that say what became of tasks."""
    with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as ledger:
        (count,) = ledger.execute(
            "SELECT count(*) FROM events WHERE event = 'action.denied' OR event LIKE 'task.%'"
        ).fetchone()
        grades = ledger.execute(
            "SELECT event, body FROM events WHERE event IN ('task.graded', 'task.frozen') ORDER BY seq"
        ).fetchall()
    return count, grades


async def measured(made: World, folder: Path, others: int, calls: int, minute: float) -> None:
    """Before, meanwhile, and what became of it."""
    doors = [await made.task(f"others-{number}", f"127.0.1.{number + 1}") for number in range(others)]
    flood = await made.task("flood", FLOODER)
    seconds: list[float] = []
    busy = [asyncio.ensure_future(acting(made, door, seconds)) for door in doors]
    await asyncio.wait(busy, timeout=minute / 2)
    sys.stdout.write(f"{'ms':<12}{'p50':>10}{'p99':>10}{'n':>8}\n")
    told("before", seconds)
    seconds.clear()
    before, _ = rows(folder)
    codes = await flooding(made, flood, calls, minute)
    told("meanwhile", seconds)
    for one in busy:
        one.cancel()
    failed = [
        one for one in await asyncio.gather(*busy, return_exceptions=True) if isinstance(one, Exception)
    ]
    after, grades = rows(folder)
    sys.stdout.write(f"\n{sum(codes.values())} calls: {codes}\n{after - before} events of them\n")
    for event, body in grades:
        found = json.loads(body)
        sys.stdout.write(f"{event}: {found.get('grade', '')} {found.get('story') or found.get('reason')}\n")
    if failed:
        raise failed[0]


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", type=int, default=4, help="tasks that act")
    parser.add_argument("--calls", type=int, default=10_000, help="denied calls of the one that floods")
    parser.add_argument("--seconds", type=float, default=60.0, help="in which it sends them")
    arguments = parser.parse_args()
    usual = {"requests_per_second": 50.0, "request_burst": 200}
    with tempfile.TemporaryDirectory() as name:
        async with world(Path(name), **usual) as made:
            await measured(made, Path(name), arguments.others, arguments.calls, arguments.seconds)


if __name__ == "__main__":
    asyncio.run(main())
