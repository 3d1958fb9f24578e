"""The repository speaks of itself alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MACHINE_PATHS = re.compile(r"(?<![\w/.}$-])/(?:work|root|home/\w+)/")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b")


def _tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.splitlines() if (ROOT / name).is_file()]


def test_no_path_of_a_machine_and_nothing_unfinished() -> None:
    """What is committed runs anywhere and is done."""
    found = []
    for path in _tracked():
        if path == Path(__file__) or path.suffix in {".sum", ".lock"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if MACHINE_PATHS.search(line) or UNFINISHED.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")

    assert found == []


REGISTRY_HOSTS = re.compile(
    r"(?:docker|quay|ghcr|gcr|k8s)\.io/|pypi\.org|pythonhosted\.org|proxy\.golang\.org|sum\.golang\.org"
    r"|deb\.debian\.org|registry\.npmjs\.org|crates\.io/"
)


def test_no_registry_is_named() -> None:
    """Where packages and images come from is the business of the machine that installs them."""
    found = []
    for path in _tracked():
        is_code = path.suffix in {".go", ".mod", ".sum"}
        if path == Path(__file__) or is_code:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            module_path = re.search(r"\bk8s\.io/", line)
            if REGISTRY_HOSTS.search(line) and not module_path:
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")

    assert found == []
