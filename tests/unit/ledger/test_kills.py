"""One side effect for each capability, whoever is killed meanwhile: the short form of `just kill-rounds`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_killed_brokers_lose_nothing_and_do_nothing_twice() -> None:
    """Five rounds of 64 redeemers on each engine, one broker on SQLite and two on PostgreSQL (I1, I2, I6)."""
    places = os.pathsep.join(str(ROOT / name) for name in ("tests/support", "hack"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/rounds/kills.py"), "--rounds", "5"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.count("all well")) == (0, 2), done.stdout + done.stderr[-2000:]
