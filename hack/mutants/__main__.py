"""`just mutants`: change the guards of admission one small place at a time, and see that a test notices.

Words are patterns of mutants, for a part of them: `just mutants 'doorward_webhooks.admission.fence*'`.

Exit code 1 when a change goes unnoticed that tests/mutants.toml does not explain, or when it explains
one that is noticed by now. The scratch tree is .lab/mutants; an interrupted run goes on where it was.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mutants.outcome import Mutant, unnoticed, untried
from mutants.tree import ROOT, plant

TREE: Final = ROOT / ".lab" / "mutants"
EXPLAINED: Final = ROOT / "tests" / "mutants.toml"


def explained(text: str) -> dict[Mutant, str]:
    """Mutants and why no test can tell them from the original."""
    return {
        Mutant(item["function"], item["before"].strip(), item["after"].strip()): item["why"]
        for item in tomllib.loads(text).get("equivalent", [])
    }


def faults(
    found: Sequence[Mutant], known: dict[Mutant, str], unfinished: frozenset[str] = frozenset()
) -> Iterator[str]:
    """What is wrong: mutants without an explanation, explanations without a mutant or a reason.

    Of functions that are not tried to the end nothing is known to be explained in vain.
    """
    for mutant in found:
        if mutant not in known:
            yield f"unnoticed in {mutant.function}:\n  - {mutant.before}\n  + {mutant.after}"
    for mutant, why in known.items():
        if mutant not in found and mutant.function not in unfinished:
            yield f"explained, and noticed or gone, in {mutant.function}: {mutant.after}"
        if not why.strip():
            yield f"explained without a reason in {mutant.function}: {mutant.after}"


def main() -> int:
    """Plant, run, compare."""
    plant(TREE)
    words = sys.argv[1:] or ["--max-children", str(os.cpu_count() or 1)]
    program = Path(sys.executable).with_name("mutmut")
    done = subprocess.run([str(program), "run", *words], cwd=TREE, check=False)
    if done.returncode:
        return done.returncode
    wrong = list(faults(unnoticed(TREE), explained(EXPLAINED.read_text()), untried(TREE)))
    sys.stdout.write("\n" + "\n".join(wrong) + f"\n{len(wrong)} to look at\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
