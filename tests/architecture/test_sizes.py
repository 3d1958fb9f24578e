"""Sizes are budgets: what does not fit in a head is split before it lands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOTS = ("src", "operator", "webhooks", "hack", "examples")


def _files() -> Iterator[Path]:
    for root in ROOTS:
        yield from sorted((ROOT / root).rglob("*.py"))


def _functions() -> Iterator[tuple[str, int]]:
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", size


def _at(sizes: list[int], share: float) -> int:
    return sorted(sizes)[min(len(sizes) - 1, int(len(sizes) * share))]


def test_functions_fit_on_a_screen() -> None:
    """Median at most 10 lines, nine in ten at most 35, none above 80."""
    functions = list(_functions())
    sizes = [size for _, size in functions]

    assert [name for name, size in functions if size > 80] == []
    assert _at(sizes, 0.5) <= 10
    assert _at(sizes, 0.9) <= 35


def test_files_hold_one_idea() -> None:
    """Nine in ten files have at most 400 lines, none more than 700."""
    files = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _files()}

    assert [name for name, size in files.items() if size > 700] == []
    assert _at(list(files.values()), 0.9) <= 400


def test_public_functions_say_what_they_promise() -> None:
    """Each public function and class of the product has a docstring."""
    silent = []
    for path in _files():
        if path.is_relative_to(ROOT / "hack") or path.is_relative_to(ROOT / "examples"):
            continue
        for node in ast.parse(path.read_text()).body:
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")

    assert silent == []
