"""`just bench-actions`: what the whole path adds to an action, and how many actions a second it carries.

Agents' requests go through real doors, a real broker with a real API server behind it, and a real
connector to an upstream that answers at once, each in a process of its own and TLS on every hop but the
agents'. In turns with that, the same request goes straight to the upstream. One client, sixteen, an open
loop of 200 arrivals a second, and sixty-four clients; the medians of some passes count. An answer that is
not the expected one ends the run, and so does a count that differs: comments that the upstream got,
outcomes that the ledger holds.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from caller import SEATS, Order
from figures import table
from sampling import told
from street import Street, street

ALONE, SIXTEEN, OPEN, MANY = "1 client", "16 clients", "open loop", "64 clients"
RATE: Final = 200.0
SHAPES: Final = {ALONE: (1, 0.0), SIXTEEN: (16, 0.0), OPEN: (64, RATE), MANY: (64, 0.0)}
"""Connections, and arrivals a second of an open loop."""
NAMES: Final = {ALONE: "alone", SIXTEEN: "sixteen", OPEN: "open"}
WAYS: Final = ("straight", "through")
FIGURES: Final = ("p50", "p99", "max", "rate")
_SCRIPT: Final = str(Path(__file__).with_name("sampling.py"))

Pass = dict[str, Any]


async def measured(made: Street, shape: str, way: str, words: Any) -> Pass:
    """One shape in one way: milliseconds, answers a second, and CPU milliseconds of each part an action."""
    clients, rate = SHAPES[shape]
    most = words.doors * SEATS
    order = Order(way == "straight", min(clients, most), words.seconds, rate, size=words.size)
    before = made.cpu_seconds()
    result = await made.order(order)
    used = made.cpu_seconds()
    ordered = sorted(result.seconds)
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
        return [_SCRIPT, str(words.profile / f"{part}.json")] if words.profile else []

    passes = []
    async with street(folder, words.doors, under) as made:
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


def middles(passes: Sequence[Pass]) -> dict[str, dict[str, dict[str, float]]]:
    """The median of each figure of each way of each shape, and what the doors' way adds."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for shape in dict.fromkeys(one["shape"] for one in passes):
        rows = {
            way: {
                figure: median(one[figure] for one in passes if (one["shape"], one["way"]) == (shape, way))
                for figure in FIGURES
            }
            for way in WAYS
        }
        straight, through = rows["straight"], rows["through"]
        rows["added"] = {figure: through[figure] - straight[figure] for figure in ("p50", "p99", "max")}
        found[shape] = rows
    return found


def figures(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """What has targets."""
    added = {
        f"{name}-{figure}": found[shape]["added"][figure]
        for shape, name in NAMES.items()
        if shape in found
        for figure in ("p50", "p99")
    }
    return {**added, **({"actions": found[MANY]["through"]["rate"]} if MANY in found else {})}


def report(passes: Sequence[Pass], words: Any) -> Iterator[str]:
    """What a person reads."""
    found = middles(passes)
    most = words.doors * SEATS
    yield (
        f"{words.doors} doors of {SEATS} seats, so at most {most} clients; SQLite; comments of {words.size} "
        f"characters; buckets wide open; {words.passes} passes of {words.seconds:g} s, medians"
    )
    yield f"{'':12}{'':10}" + "".join(f"{title:>10}" for title in ("p50 ms", "p99 ms", "max ms", "/s"))
    for shape, rows in found.items():
        for way, row in rows.items():
            yield f"{shape:12}{way:10}" + "".join(f"{row[name]:10.2f}" for name in FIGURES if name in row)
    yield from _cpu(passes)
    yield ""
    yield from table(figures(found))


def _cpu(passes: Sequence[Pass]) -> Iterator[str]:
    """Of the way through, CPU milliseconds an action."""
    parts = list(passes[0]["cpu"])
    yield f"\n{'CPU ms an action':22}" + "".join(f"{part:>10}" for part in parts)
    for shape in dict.fromkeys(one["shape"] for one in passes):
        mine = [one["cpu"] for one in passes if (one["shape"], one["way"]) == (shape, "through")]
        yield f"{shape:22}" + "".join(f"{median(one[part] for one in mine):10.2f}" for part in parts)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench-actions", description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--doors", type=int, default=8, help="tasks, each with its door")
    parser.add_argument("--size", type=int, default=1024, help="characters of a comment")
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, help="only these")
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
        words.json.write_text(json.dumps({"figures": figures(middles(passes)), "passes": passes}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
