"""`just bench-admission`: what a full check of a pod costs, beside a webhook that checks nothing.

Both servers run on one core, this program on another where there is one. They are asked in turns, several
passes each: one connection and sixteen in a closed loop, then an open loop. An answer that is not a yes
to its own question ends the run, and so does a server that admits a pod with one value changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from authority import Authority
from load import Question, Tally, Target, closed, opened
from questions import questions, spoiled

WHICH: Final = ("bare", "full")
SHAPES: Final = ("closed, 1 connection", "closed, 16 connections", "open")


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Serving = Callable[[str, Path, int], AbstractAsyncContextManager[Server]]
"""Has a server run: `full` or `bare`, the folder of its certificates, how many tasks it knows."""


@asynccontextmanager
async def apart(core: Sequence[str], which: str, folder: Path, tasks: int) -> AsyncIterator[Server]:
    """A server in a process of its own, on the core that is given, if one is."""
    words = (str(Path(__file__).with_name("servers.py")), which, str(folder), str(tasks), *core)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Server(int(await process.stdout.readline()), process.pid)
    finally:
        process.stdin.close()
        await process.wait()


async def measured(server: Server, tls: ssl.SSLContext, asked: list[Question], words: Any) -> dict[str, Any]:
    """One pass over one server."""
    shapes = {SHAPES[0]: 1, SHAPES[1]: 16, SHAPES[2]: 64}
    found = {}
    for shape, connections in shapes.items():
        target = await Target.at(server.port, tls, connections)
        before = server.cpu_seconds()
        if shape == "open":
            tally = await opened(target, asked, words.requests, words.rate, seed=words.requests)
        else:
            tally = await closed(target, asked, words.requests)
        found[shape] = _shown(tally, server.cpu_seconds() - before)
        target.close()
    return found


def _shown(tally: Tally, cpu: float) -> dict[str, Any]:
    ordered = sorted(tally.seconds)
    return {
        "requests": len(ordered),
        "perSecond": round(len(ordered) / tally.elapsed, 1),
        "p50Ms": _at(ordered, 0.5),
        "p99Ms": _at(ordered, 0.99),
        "maxMs": _at(ordered, 1.0),
        "cpuMs": round(cpu / len(ordered) * 1000, 3),
        "answers": dict(tally.answers),
    }


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)


async def _refuses(server: Server, tls: ssl.SSLContext, question: Question) -> bool:
    target = await Target.at(server.port, tls, 1)
    answer = await target.connections[0].ask(question)
    target.close()
    return answer == "200 denied"


async def run(words: Any, serving: Serving) -> dict[str, Any]:
    """All passes. Raises `SystemExit` when an answer is not the one it must be."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        authority.issue("admission")
        reviews = questions(words.tasks, authority.bundle)
        asked = [Question.of(review) for review in reviews]
        tls = ssl.create_default_context(cadata=authority.bundle)
        servers = {
            which: await stack.enter_async_context(serving(which, folder, words.tasks)) for which in WHICH
        }
        if not await _refuses(servers["full"], tls, Question.of(spoiled(reviews[0]))):
            raise SystemExit("the full check admits a pod with one value changed")
        passes = []
        for _ in range(words.passes):
            for which, server in servers.items():
                found = await measured(server, tls, asked, words)
                _check(which, found)
                passes.append({"server": which, **found})
    return _report(words, len(reviews[0]), passes)


def _check(which: str, found: dict[str, Any]) -> None:
    wrong = {
        shape: item["answers"] for shape, item in found.items() if set(item["answers"]) != {"200 allowed"}
    }
    if wrong:
        raise SystemExit(f"{which}: answers that are no yes: {wrong}")


def _report(words: Any, size: int, passes: list[dict[str, Any]]) -> dict[str, Any]:
    middle = {
        which: {
            shape: {
                key: median(item[shape][key] for item in passes if item["server"] == which)
                for key in ("perSecond", "p50Ms", "p99Ms", "maxMs", "cpuMs")
            }
            for shape in SHAPES
        }
        for which in WHICH
    }
    ratios = {
        shape: {
            key: round(middle["full"][shape][key] / max(middle["bare"][shape][key], 0.001), 2)
            for key in middle["full"][shape]
        }
        for shape in SHAPES
    }
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "openRate": words.rate}
    return {
        "machine": machine,
        "reviewBytes": size,
        "tasks": words.tasks,
        "passes": passes,
        "median": middle,
        "ratio": ratios,
    }


def told(report: dict[str, Any]) -> str:
    """The medians of a report as a table."""
    columns = ("perSecond", "p50Ms", "p99Ms", "maxMs", "cpuMs")
    rate = report["machine"]["openRate"]
    lines = [
        f"{report['reviewBytes']} bytes; {report['tasks']} tasks; open loop: {rate:g}/s; medians of passes",
        f"{'':6}{'':26}" + "".join(f"{column:>11}" for column in columns),
    ]
    for shape in SHAPES:
        rows = {**{which: report["median"][which][shape] for which in WHICH}, "ratio": report["ratio"][shape]}
        lines += [
            f"{name:6}{shape:26}" + "".join(f"{row[column]:11.2f}" for column in columns)
            for name, row in rows.items()
        ]
    return "\n".join(lines)


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(prog="bench-admission", description=__doc__)
    parser.add_argument("--passes", type=int, default=5, help="how often each server is measured")
    parser.add_argument("--requests", type=int, default=5000, help="questions in each shape of a pass")
    parser.add_argument("--tasks", type=int, default=1000, help="tasks that are known, each with its pod")
    parser.add_argument("--rate", type=float, default=500.0, help="questions a second in the open loop")
    parser.add_argument("--json", type=Path, help="file for the whole report")
    return parser.parse_args(argv)


def main() -> None:
    """Read the words, run, tell."""
    words = parsed()
    core = []
    if len(cores := os.sched_getaffinity(0)) > 1:
        core = ["0"]
        os.sched_setaffinity(0, cores - {0})
    report = asyncio.run(run(words, partial(apart, core)))
    if words.json:
        words.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(told(report) + "\n")


if __name__ == "__main__":
    main()
