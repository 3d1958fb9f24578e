"""The benchmark of admission works: it asks, checks every answer and says what it is meant to say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]


def test_the_bench_of_admission_measures_both_servers(tmp_path: Path) -> None:
    """Twenty questions to each server over TLS, all answered with a yes to the question that was asked."""
    report_file = tmp_path / "report.json"
    words = ["--passes", "1", "--requests", "20", "--tasks", "5", "--json", str(report_file)]
    subprocess.run(
        [sys.executable, str(TESTS / "bench" / "admission"), *words],
        env={**os.environ, "PYTHONPATH": str(TESTS / "support")},
        check=True,
        capture_output=True,
        timeout=280,
    )
    report = json.loads(report_file.read_text())
    shapes = {"closed, 1 connection", "closed, 16 connections", "open"}

    assert [found.pop("server") for found in report["passes"]] == ["bare", "full"]
    assert [
        (shape, item["requests"], item["answers"])
        for found in report["passes"]
        for shape, item in found.items()
    ] == [(shape, 20, {"200 allowed": 20}) for found in report["passes"] for shape in found]
    assert [set(report[part]) for part in ("median", "ratio")] == [{"bare", "full"}, shapes]
