"""What is made of the passes: medians, what the doors add and how that compares, what a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, Final

from caller import SEATS
from figures import table

ALONE, SIXTEEN, OPEN, MANY = "1-client", "16-clients", "open-loop", "64-clients"
RATE: Final = 200.0
SHAPES: Final = {ALONE: (1, 0.0), SIXTEEN: (16, 0.0), OPEN: (64, RATE), MANY: (64, 0.0)}
"""Connections, and arrivals a second of an open loop."""
NAMES: Final = {ALONE: "alone", SIXTEEN: "sixteen", OPEN: "open"}
WAYS: Final = ("straight", "bare", "through")
OURS: Final = ("broker", "connector", "doors")
"""Parts that an action is done by."""
FIGURES: Final = ("p50", "p99", "max", "rate")

Pass = dict[str, Any]


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


def cpu(passes: Sequence[Pass]) -> dict[str, dict[str, dict[str, float]]]:
    """Of both ways through parts, medians of CPU milliseconds an action: shape -> way -> part."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for shape in dict.fromkeys(one["shape"] for one in passes):
        for way in WAYS[1:]:
            mine = [one["cpu"] for one in passes if (one["shape"], one["way"]) == (shape, way)]
            found.setdefault(shape, {})[way] = {part: median(one[part] for one in mine) for part in mine[0]}
    return found


def ratios(used: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times the CPU time of the bare path an action needs: of each part, and of them all."""
    bare, through = (used[way] | {"all": sum(used[way][part] for part in OURS)} for way in WAYS[1:])
    # The kernel counts in ticks: a short run may have caught none.
    return {part: through[part] / bare[part] if bare[part] else 0.0 for part in (*OURS, "all")}


def figures(passes: Sequence[Pass], fsync: float = 0.0) -> dict[str, float]:
    """What has a row in the last table; with a slow disk that is one figure, for one slowness."""
    found = middles(passes)
    if fsync:
        return {"actions-slow-disk": found[MANY]["through"]["rate"]} if fsync == 1 and MANY in found else {}
    added = {
        f"{name}-{figure}": found[shape]["added"][figure]
        for shape, name in NAMES.items()
        if shape in found
        for figure in ("p50", "p99")
    }
    return {**added, **(_many(found[MANY], cpu(passes)[MANY]) if MANY in found else {})}


def _many(rows: dict[str, dict[str, float]], used: dict[str, dict[str, float]]) -> dict[str, float]:
    return {
        "actions": rows["through"]["rate"],
        "actions-bare": rows["bare"]["rate"],
        "cpu-to-bare": ratios(used)["all"],
    }


def report(passes: Sequence[Pass], words: Any) -> Iterator[str]:
    """What a person reads."""
    found = middles(passes)
    most = words.doors * SEATS
    yield (
        f"{words.doors} doors of {SEATS} seats, so at most {most} clients; SQLite; comments of {words.size} "
        f"characters; buckets wide open; {words.passes} passes of {words.seconds:g} s, medians"
    )
    if words.fsync:
        yield f"each sync of the broker takes {words.fsync:g} ms longer"
    yield f"{'':12}{'':10}" + "".join(f"{title:>10}" for title in ("p50 ms", "p99 ms", "max ms", "/s"))
    for shape, rows in found.items():
        for way, row in rows.items():
            yield f"{shape:12}{way:10}" + "".join(f"{row[name]:10.2f}" for name in FIGURES if name in row)
    yield from _cpu(passes)
    if compared := figures(passes, words.fsync):
        yield from ("", *table(compared))


def _cpu(passes: Sequence[Pass]) -> Iterator[str]:
    """CPU milliseconds an action, and how many times those of the bare path the product needs."""
    parts = list(passes[0]["cpu"])
    yield f"\n{'CPU ms an action':22}" + "".join(f"{part:>10}" for part in parts)
    for shape, ways in cpu(passes).items():
        rows = {**ways, "ratio": ratios(ways)}
        for way, row in rows.items():
            cells = (f"{row[part]:10.2f}" if part in row else f"{'':10}" for part in parts)
            yield f"{shape:12}{way:10}" + "".join(cells).rstrip()
