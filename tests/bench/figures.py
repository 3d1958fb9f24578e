"""What the benchmarks are held to: `targets.toml` says it, and this sets what was measured beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Target:
    """One figure and how it ought to be."""

    name: str
    says: str
    """The figure in words."""
    unit: str
    more: bool
    """Whether more of it is better."""
    must: float
    stretch: float | None = None

    def ratio(self, found: float) -> float:
        """How many times as good as it must be; 1 and above is good enough, whichever way it counts."""
        if self.more:
            return found / self.must
        return self.must / found if found > 0 else float("inf")


def targets() -> dict[str, Target]:
    """Every target by its name."""
    text = Path(__file__).with_name("targets.toml").read_text()
    found: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {name: Target(name, **fields) for name, fields in found.items()}


def table(found: Mapping[str, float]) -> list[str]:
    """Figure, target and ratio, a line each, in the order of the targets; what has no target is left out."""
    lines = [f"{'figure':58}{'measured':>12}{'must':>10}{'ratio':>8}"]
    for name, target in targets().items():
        if name in found:
            must = f"{'>=' if target.more else '<='} {target.must:g}"
            measured = f"{found[name]:.{0 if target.more else 1}f} {target.unit}"
            lines.append(f"{target.says:58}{measured:>12}{must:>10}{target.ratio(found[name]):>8.2f}")
    return lines
