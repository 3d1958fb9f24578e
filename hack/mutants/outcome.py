"""What the mutation tool has left in its tree: which changes went unnoticed, by function and by line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

_UNNOTICED: Final = frozenset({0, 5, 33})
"""Exit codes of a run of tests in which nothing failed: passed, or no test reached the function."""


class Mutant(NamedTuple):
    """One change, independent of the tool's numbering."""

    function: str
    before: str
    after: str


def unnoticed(tree: Path) -> list[Mutant]:
    """Every mutant that no test failed for."""
    names = []
    for meta in sorted((tree / "mutants").rglob("*.py.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        names += [name for name, code in codes.items() if code in _UNNOTICED]
    return [_mutant(tree, name) for name in names]


def untried(tree: Path) -> frozenset[str]:
    """Functions of which a mutant has not been tried: a run may be interrupted, or be of one module only."""
    return frozenset(
        _function(name)
        for meta in (tree / "mutants").rglob("*.py.meta")
        for name, code in json.loads(meta.read_text())["exit_code_by_key"].items()
        if code is None
    )


def _mutant(tree: Path, name: str) -> Mutant:
    command = [str(Path(sys.executable).with_name("mutmut")), "show", name]
    shown = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout
    return parsed(name, shown)


def parsed(name: str, shown: str) -> Mutant:
    """From the tool's name and its unified diff."""
    lines = [line for line in shown.splitlines() if not line.startswith(("---", "+++"))]
    before, after = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in ("-", "+")
    )
    return Mutant(_function(name), before, after)


def _function(name: str) -> str:
    """`a.b.x_f__mutmut_1` is `a.b.f`, and `a.b.xǁCǁf__mutmut_1` is `a.b.C.f`."""
    module, _, mangled = name.rpartition(".")
    own = mangled.rpartition("__mutmut_")[0]
    parts = own.split("ǁ")[1:] if "ǁ" in own else [own.removeprefix("x_")]
    return ".".join((module, *parts))
