"""The benchmark of admission works: it asks, checks every answer and says what it is meant to say."""

from __future__ import annotations

import os
import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "admission"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the program defines."""
    monkeypatch.syspath_prepend(str(BENCH))
    return {**runpy.run_path(str(BENCH / "servers.py")), **runpy.run_path(str(BENCH / "__main__.py"))}


async def test_the_bench_of_admission_measures_both_servers(bench: dict[str, Any]) -> None:
    """Twenty questions to each server over TLS, all answered with a yes to the question that was asked.

    The servers run in this process, so the times say nothing; processes of their own take seconds to start.
    """

    @asynccontextmanager
    async def beside(which: str, folder: Path, tasks: int) -> AsyncIterator[Any]:
        async with bench[which](folder, tasks) as port:
            yield bench["Server"](port, os.getpid())

    words = bench["parsed"](["--passes", "1", "--requests", "20", "--tasks", "5"])
    report = await bench["run"](words, beside)
    table = bench["told"](report)
    shapes = {"closed, 1 connection", "closed, 16 connections", "open"}

    assert [found.pop("server") for found in report["passes"]] == ["bare", "full"]
    assert [
        (shape, item["requests"], item["answers"])
        for found in report["passes"]
        for shape, item in found.items()
    ] == [(shape, 20, {"200 allowed": 20}) for found in report["passes"] for shape in found]
    assert [set(report[part]) for part in ("median", "ratio")] == [{"bare", "full"}, shapes]
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["bare", "full", "ratio"] * 3
