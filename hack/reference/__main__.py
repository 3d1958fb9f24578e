"""`python -m reference [--check]`: write docs/reference/, or say which page is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from reference import pages

TARGET = Path(__file__).parents[2] / "docs/reference"


def main() -> int:
    """Write every page that differs; with --check write nothing and fail if one does."""
    wanted = pages.every()
    stale = [name for name, text in wanted.items() if _current(name) != text]
    if "--check" in sys.argv:
        print("\n".join(f"docs/reference/{name} is out of date: run `just fix`" for name in stale))
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (TARGET / name).write_text(wanted[name])
    return 0


def _current(name: str) -> str | None:
    path = TARGET / name
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
