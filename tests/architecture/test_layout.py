"""The layout keeps clear of the traps that a top-level folder named `operator` sets."""

from __future__ import annotations

import operator
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_standard_library_wins() -> None:
    """`import operator` is Python's own, also when started from the root with -m."""
    command = [sys.executable, "-c", "import operator, collections; print(operator.__file__)"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == operator.__file__


def test_source_roots_hold_packages_only() -> None:
    """`operator/` and `webhooks/` are roots, not packages, and shadow nothing."""
    for root in ("operator", "webhooks"):
        names = {item.name for item in (ROOT / root).iterdir() if item.name != "__pycache__"}
        assert names == {f"doorward_{root}"}
        assert not names & sys.stdlib_module_names


def test_tests_are_not_packages() -> None:
    """An `__init__.py` under tests/ would register `operator` as a test package."""
    found = list((ROOT / "tests").rglob("__init__.py"))

    assert found == []
