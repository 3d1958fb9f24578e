"""`just bench`: ledger, actions and revocation one after the other, and at the end what was promised.

Each benchmark is a program of its own and prints its own table; here they run with moderate settings, in
about six minutes. Whoever wants to know one of them well runs it alone. What comes last is every figure
that has a target in `targets.toml`, with the target and their ratio: 1 and above is as good as promised.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from figures import table

HERE: Final = Path(__file__).parent
RUNS: Final = (
    ("ledger", "--passes", "3", "--seconds", "1"),
    ("actions", "--passes", "3", "--seconds", "3"),
    ("actions", "--passes", "3", "--seconds", "3", "--shapes", "64-clients", "--fsync", "1"),
    ("revocation", "--trials", "5"),
)


def run(name: str, words: Sequence[str], file: Path) -> dict[str, float]:
    """The figures of one benchmark. Raises `CalledProcessError` when it broke off."""
    sys.stdout.write(f"\n{' '.join((name, *words))}, load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()
    subprocess.run([sys.executable, str(HERE / name), *words, "--json", str(file)], check=True)
    found: dict[str, float] = json.loads(file.read_text())["figures"]
    return found


def main() -> int:
    """Measure and print."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, *words in RUNS:
            found |= run(name, words, Path(folder) / f"{name}.json")
    where = (platform.platform(), f"Python {platform.python_version()}", f"{os.cpu_count()} cores")
    sys.stdout.write("\n".join(["", ", ".join(where), *table(found), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
