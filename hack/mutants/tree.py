"""A copy of the repository in the one layout that the mutation tool reads: all packages under `src/`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("src/doorward", "webhooks/doorward_webhooks")
OTHERS: Final = ("hack", "docs", "charts")
MUTATED: Final = (
    "src/doorward/render/equality.py",
    *(
        f"src/doorward_webhooks/admission/{name}.py"
        for name in ("walk", "fence", "literals", "pods", "templates")
    ),
)
TESTS: Final = (
    "tests/unit/render/test_equality.py",
    *(
        f"tests/unit/webhooks/admission/test_{name}.py"
        for name in ("judged", "refusals", "literals", "templates", "pods")
    ),
)
"""Those that are quick: each runs hundreds of times."""
_SLOW: Final = (
    "tests/unit/webhooks/admission/test_pods.py::test_every_known_way_to_a_secret_is_named",
    "tests/unit/webhooks/admission/test_pods.py::test_no_single_change_of_a_value_is_admitted",
)
_PYPROJECT: Final = """[tool.pytest]
strict = true
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
pythonpath = ["hack", "tests/support"]

[tool.mutmut]
source_paths = ["src"]
only_mutate = {mutated}
also_copy = {others}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {slow}
use_git_change_detection = false
use_setproctitle = false
"""


def plant(target: Path) -> None:
    """Write the tree; what was there of an earlier run stays, so that only what changed is tried again."""
    for package in PACKAGES:
        _copy(ROOT / package, target / "src" / Path(package).name)
    for name in (*OTHERS, "tests"):
        _copy(ROOT / name, target / name)
    parts = {"mutated": MUTATED, "others": OTHERS, "tests": TESTS}
    parts["slow"] = tuple(f"--deselect={test}" for test in _SLOW)
    text = _PYPROJECT.format(**{name: json.dumps(part) for name, part in parts.items()})
    (target / "pyproject.toml").write_text(text)


def _copy(source: Path, target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
