"""The pinned tools: where their versions stand and when they are built again."""

import shutil
from pathlib import Path

import pytest

from devcluster import tools


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the Go modules that a test may change."""
    source = tools.HACK / "tools"
    shutil.copytree(source, tmp_path / "tools")
    monkeypatch.setattr(tools, "HACK", tmp_path)
    return tmp_path / "tools"


def test_versions_are_read_from_go_mod() -> None:
    """The version that Kubernetes programs say of themselves is the one that was built."""
    assert tools.version(tools.recipe_of("kubelet"), "k8s.io/kubernetes").startswith("v1.")
    with pytest.raises(LookupError, match="does not require"):
        tools.version(tools.recipe_of("helm"), "example.invalid/nothing")


def test_every_program_that_a_provider_needs_has_a_recipe() -> None:
    """A name without a recipe would fail only on the machine that needs it."""
    others = [f"kube-apiserver-{minor}" for minor in tools.MINORS]
    for program in {*tools.LOCAL, *tools.KIND, *others}:
        assert program in tools.recipe_of(program).programs


def test_the_api_server_of_a_minor_is_of_that_minor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting chooses a module, and the module pins that minor; without it, it is the node's."""
    assert tools.api_server() == "kube-apiserver"
    for minor in ("1.34", *tools.MINORS):
        monkeypatch.setenv("DOORWARD_API_MINOR", minor)
        recipe = tools.recipe_of(tools.api_server())
        assert tools.version(recipe, "k8s.io/kubernetes").startswith(f"v{minor}.")


def test_a_minor_without_a_module_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tier does not run on another server than the one it was asked for."""
    monkeypatch.setenv("DOORWARD_API_MINOR", "1.32")
    with pytest.raises(LookupError, match=r"kube-apiserver-1\.32"):
        tools.api_server()


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "pause/main.go"])
def test_a_changed_module_is_built_into_another_folder(copied: Path, file: str) -> None:
    """Two checkouts with different pins share a cache without disturbing each other."""
    before = tools.path("pause")
    changed = copied / "small" / file
    changed.write_text(changed.read_text() + "\n// changed\n")

    assert before != tools.path("pause")


def test_an_unchanged_module_keeps_its_folder(copied: Path) -> None:
    """Nothing is compiled twice because a README was touched."""
    before = tools.path("pause")
    (copied / "small" / "README.md").write_text("new")

    assert before == tools.path("pause")
