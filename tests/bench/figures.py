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
    must: float | None = None
    """None for what says how others are to be read: it is no promise."""
    stretch: float | None = None

    def ratio(self, found: float) -> float | None:
        """How many times as good as it must be; 1 and above is good enough, whichever way it counts."""
        if self.must is None:
            return None
        if self.more:
            return found / self.must
        return self.must / found if found > 0 else float("inf")

    def row(self, found: float) -> str:
        """A line of the table."""
        line = f"{self.says:58}{f'{found:.{0 if self.more else 1}f} {self.unit}':>12}"
        ratio = self.ratio(found)
        if ratio is None:
            return line
        must = f"{'>=' if self.more else '<='} {self.must:g}"
        return f"{line}{must:>10}{ratio:>8.2f}"


def targets() -> dict[str, Target]:
    """Every target by its name."""
    text = Path(__file__).with_name("targets.toml").read_text()
    found: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {name: Target(name, **fields) for name, fields in found.items()}


def table(found: Mapping[str, float]) -> list[str]:
    """Figure, target and ratio, a line each, as `targets.toml` orders them; what is not there is left out."""
    lines = [f"{'figure':58}{'measured':>12}{'must':>10}{'ratio':>8}"]
    return lines + [target.row(found[name]) for name, target in targets().items() if name in found]
