"""Tests read as promises."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(
    r"time\.sleep\(|asyncio\.sleep\((?!0\b)"
    r"|mark\.skip\b|mark\.xfail|assert True\b|mock\.patch"
)


def test_each_test_has_a_docstring() -> None:
    """A test without a sentence is a test nobody can judge when it fails."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_test and node.name.startswith("test_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")

    assert silent == []


def test_tests_neither_sleep_nor_patch() -> None:
    """Tests wait for conditions with a deadline, skip nothing and patch no import."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__) or "agents" in path.parts:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")

    assert found == []
