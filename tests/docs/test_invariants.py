"""The invariants of the ledger are more than prose: each is cited by a test, and no test cites another."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CITED = re.compile(r"\((I\d+(?:, I\d+)*)\)")


def test_each_invariant_is_cited_by_a_test() -> None:
    """By its number, in brackets, in the docstring of a test function."""
    written = set(re.findall(r"^- \*\*(I\d+)\*\*", (ROOT / "docs/invariants.md").read_text(), re.MULTILINE))
    cited: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for found in CITED.findall(ast.get_docstring(node) or ""):
                    cited |= set(found.split(", "))

    assert len(written) > 10
    assert sorted(written) == sorted(cited)
