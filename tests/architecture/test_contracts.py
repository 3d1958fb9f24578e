"""The walls between the parts are enforced by a tool, and the tool is shown to notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    paths = ":".join(str(root / name) for name in ("src", "operator", "webhooks"))
    return subprocess.run(
        command, cwd=root, env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("src", "operator", "webhooks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_holds() -> None:
    """The repository as it stands keeps every contract of pyproject.toml."""
    result = _lint(ROOT)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("connectors/gate.py", "import doorward.tokens.mint", "Only the broker mints"),
        (
            "policy/__init__.py",
            "import doorward_operator",
            "The Kubernetes edges stand on the core and not on each other",
        ),
        (
            "door/__init__.py",
            "import doorward.ledger",
            "The door and the connectors know no ledger and no cluster",
        ),
        ("broker/__init__.py", "import doorward.core.permitting", "Only the policy permits"),
        ("broker/__init__.py", "import doorward.connectors.credentials", "Only connectors hold"),
        ("core/__init__.py", "import aiohttp", "The domain does no I/O"),
        ("broker/__init__.py", "import kopf", "kopf stays in the operator"),
        ("broker/__init__.py", "import lightkube", "Only one room talks to the API server"),
    ],
)
def test_a_broken_wall_is_noticed(checkout: Path, module: str, line: str, contract: str) -> None:
    """One forbidden import anywhere makes the check fail and name the contract."""
    target = checkout / "src" / "doorward" / module
    target = target if target.exists() else target.with_suffix("") / "__init__.py"
    target.write_text(target.read_text() + f"\n{line}\n")

    result = _lint(checkout)

    assert result.returncode == 1
    broken = [name for name in result.stdout.splitlines() if name.endswith("BROKEN")]
    assert any(name.startswith(contract) for name in broken), result.stdout
