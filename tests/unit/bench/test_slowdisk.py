"""The slow disk of the benchmarks is one: each sync of a program takes longer."""

from __future__ import annotations

import errno
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SLOWDISK = Path(__file__).parents[2] / "bench" / "slowdisk.py"
SYNCING = """
import json, os, sys, time
began = time.monotonic()
with open(sys.argv[1], "wb") as file:
    os.fsync(file.fileno())
    os.fdatasync(file.fileno())
    try:
        os.fdatasync(1000)
    except OSError as error:
        failed = error.errno
print(json.dumps({"seconds": time.monotonic() - began, "failed": failed, "pid": os.getpid()}), flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the slow disk is compiled by gcc")


@pytest.fixture
def slowdisk() -> dict[str, Any]:
    """What the program defines."""
    return runpy.run_path(str(SLOWDISK))


def test_each_sync_of_a_program_over_it_takes_longer(slowdisk: dict[str, Any], tmp_path: Path) -> None:
    """What succeeds still succeeds, and what fails still says why."""
    script = tmp_path / "syncing.py"
    script.write_text(SYNCING)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with slowdisk["made"](25) as disk:
        command = [sys.executable, *disk.words, str(script), str(tmp_path / "file")]
        with subprocess.Popen(command, **pipes) as process:
            found = json.loads(process.stdout.readline())
            disk.check(found["pid"])
            process.stdin.close()

    assert found["seconds"] >= 3 * 0.025
    assert (found["failed"], process.returncode) == (errno.EBADF, 0)


def test_a_program_that_is_not_over_it_is_told_apart(slowdisk: dict[str, Any]) -> None:
    """A measurement of the wrong disk would look like a good one."""
    with slowdisk["made"](1) as disk, pytest.raises(SystemExit, match="does not run over the slow disk"):
        disk.check(os.getpid())
