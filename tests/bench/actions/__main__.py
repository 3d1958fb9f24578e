"""`just bench-actions`: what the whole path adds to an action, and how many actions a second it carries.

Agents' requests go through real doors, a real broker with a real API server behind it, and a real
connector to an upstream that answers at once, each in a process of its own and TLS on every hop but the
agents'. In turns with that, the same request goes straight to the upstream, and over a bare path: the same
hops between as many processes that do nothing but pass it on. One client, sixteen, an open loop of 200
arrivals a second, and sixty-four clients; the medians of some passes count. An answer that is not the
expected one ends the run, and so does a count that differs: comments that the upstream got, outcomes that
the ledger holds. `--fsync` lets the broker's disk take its time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import slowdisk
from caller import SEATS, Order
from results import SHAPES, WAYS, Pass, figures, report
from sampling import told
from street import Street, street

_SCRIPT: Final = str(Path(__file__).with_name("sampling.py"))


async def measured(made: Street, shape: str, way: str, words: Any) -> Pass:
    """One shape in one way: milliseconds, answers a second, and CPU milliseconds of each part an action."""
    clients, rate = SHAPES[shape]
    most = words.doors * SEATS
    direct = way == "straight"
    order = Order(direct, made.ports[way], min(clients, most), words.seconds, rate, size=words.size)
    before = made.cpu_seconds(way)
    result = await made.order(order)
    used = made.cpu_seconds(way)
    ordered = sorted(result.seconds)
    if not ordered:
        raise SystemExit(f"{shape}, {way}: nothing was answered in time; give it more --seconds")
    return {
        "shape": shape,
        "way": way,
        "asked": result.asked,
        "answered": len(ordered),
        "p50": _at(ordered, 0.5),
        "p99": _at(ordered, 0.99),
        "max": _at(ordered, 1.0),
        "rate": round(len(ordered) / result.elapsed, 1),
        "cpu": {part: round(1000 * (used[part] - before[part]) / result.asked, 3) for part in used},
    }


def _at(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)


async def run(words: Any, folder: Path) -> list[Pass]:
    """All passes. Raises `SystemExit` when something was not as it must be."""

    def under(part: str) -> Sequence[str]:
        slow = disk.words if disk and part == "broker" else ()
        return [*slow, *([_SCRIPT, str(words.profile / f"{part}.json")] if words.profile else ())]

    passes = []
    with ExitStack() as stack:
        disk = stack.enter_context(slowdisk.made(words.fsync)) if words.fsync else None
        async with street(folder, words.doors, under) as made:
            if disk:
                disk.check(*made.pids["through"]["broker"])
            for _ in range(words.passes):
                for shape in words.shapes or SHAPES:
                    passes += [await measured(made, shape, way, words) for way in WAYS]
            await _check(made, passes, folder)
    return passes


async def _check(made: Street, passes: Sequence[Pass], folder: Path) -> None:
    """Each side effect happened once, and the ledger knows of each that came through the doors."""
    asked = sum(one["asked"] for one in passes)
    through = sum(one["asked"] for one in passes if one["way"] == "through")
    wanted, found = (asked, through), (await made.comments(), _outcomes(folder))
    if wanted != found:
        raise SystemExit(f"asked for {wanted[0]} comments, {wanted[1]} through doors; found are {found}")


def _outcomes(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as ledger:
        (count,) = ledger.execute("SELECT count(*) FROM events WHERE event = 'outcome.reported'").fetchone()
    return int(count)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench-actions", description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--doors", type=int, default=8, help="tasks, each with its door")
    parser.add_argument("--size", type=int, default=1024, help="characters of a comment")
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, help="only these")
    parser.add_argument("--fsync", type=float, default=0.0, help="milliseconds longer for the broker's syncs")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--profile", type=Path, help="folder for where each process spends its CPU time")
    words = parser.parse_args()
    if words.profile:
        words.profile.mkdir(parents=True, exist_ok=True)
    where = (platform.platform(), f"Python {platform.python_version()}", f"{os.cpu_count()} cores")
    sys.stdout.write(f"{', '.join(where)}, load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as folder:
        passes = asyncio.run(run(words, Path(folder)))
    sys.stdout.write("\n".join([*report(passes, words), ""]))
    for file in sorted(words.profile.glob("*.json")) if words.profile else ():
        sys.stdout.write("\n".join(["", *told(file), ""]))
    if words.json:
        words.json.write_text(
            json.dumps({"figures": figures(passes, words.fsync), "passes": passes}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
