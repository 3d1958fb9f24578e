"""Each image holds what its part imports, and nothing else."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions

import pytest

from imagebuild import charts, closure, containerfile
from imagebuild.parts import PARTS, ROOT, Part

PROGRAMS = [part for part in PARTS if part.modules]
FORBIDDEN = {
    "door": {"doorward.tokens.mint", "doorward.tokens.keys", "doorward.connectors", "doorward.broker"},
    "connector": {"doorward.tokens.mint", "doorward.tokens.keys", "doorward.door", "doorward.broker"},
    "broker": {"doorward.connectors", "doorward.door", "doorward_operator", "doorward_webhooks"},
    "operator": {"doorward.tokens", "doorward.broker", "doorward.connectors", "doorward_webhooks"},
    "admission": {"doorward.tokens", "doorward.broker", "doorward.connectors", "doorward_operator"},
}
"""What must not be in an image, whatever anybody imports."""
PLAIN = {"door": {"pydantic", "lightkube", "sqlalchemy", "kopf"}, "connector": {"pydantic", "lightkube"}}


def _name(part: Part) -> str:
    return part.name


@pytest.mark.parametrize("part", PROGRAMS, ids=_name)
def test_the_containerfile_copies_the_import_closure(part: Part) -> None:
    """`hack/images copies` writes the lines anew; a reviewer sees what an import brings into an image."""
    assert containerfile.block(containerfile.PATH.read_text(), part) == closure.copies(part)


@pytest.mark.parametrize("part", PROGRAMS, ids=_name)
def test_no_image_holds_another_parts_powers(part: Part) -> None:
    """Signing is the broker's alone, credentials are the connectors' alone, pods the operator's alone."""
    found = {
        name
        for name in closure.modules(part)
        for wall in FORBIDDEN[part.name]
        if name == wall or name.startswith(f"{wall}.")
    }

    assert found == set()


@pytest.mark.parametrize("part", PROGRAMS, ids=_name)
def test_every_foreign_import_is_in_the_lock(part: Part) -> None:
    """An image that lacks a package fails here and not at its first start."""
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / part.lock).read_text(), re.MULTILINE))
    providers = packages_distributions()
    foreign = {name for name in closure.foreign(part) if name not in sys.stdlib_module_names}
    absent = {
        name
        for name in foreign
        if not {provider.lower().replace("_", "-") for provider in providers.get(name, [name])} & locked
    }

    assert absent == set()


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_door_and_connector_stay_small(name: str) -> None:
    """The sidecar runs thousands of times, and holds no client of the cluster it runs in."""
    part = next(part for part in PARTS if part.name == name)
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / part.lock).read_text(), re.MULTILINE))

    assert PLAIN[name] & locked == set()


def test_images_run_as_nobody_and_need_no_shell() -> None:
    """Every final stage names the user, and every step is a list of words."""
    stages = containerfile.stages(containerfile.PATH.read_text())

    assert [part.name for part in PARTS if "\nUSER 65532:65532\n" not in stages[part.name]] == []
    assert [
        line
        for stage in stages.values()
        for line in re.findall(r"^(?:RUN|ENTRYPOINT|CMD) (?!\[).*", stage, re.MULTILINE)
    ] == []


def test_builds_reach_no_index() -> None:
    """Packages come by hash from what was gathered before; an installer that looked elsewhere would fail."""
    text = containerfile.PATH.read_text()
    installs = re.findall(r'^RUN .*"install".*$', text, re.MULTILINE)

    assert len(installs) == len(PARTS)
    assert [line for line in installs if '"--no-index"' not in line or '"--require-hashes"' not in line] == []


def test_the_charts_carry_what_was_generated() -> None:
    """`hack/images charts` copies custom resources and catalogue hashes; the copies are those of now."""
    assert charts.present() == charts.copies()


def test_needed_keeps_the_stages_of_one_target() -> None:
    """One image does not wait for the files of another."""
    text = containerfile.needed(containerfile.PATH.read_text(), "door")

    assert list(containerfile.stages(text)) == ["", "base", "install", "door-build", "door"]


def test_sources_follow_continued_lines() -> None:
    """A COPY over several lines names all of its sources; those of other stages are none."""
    text = "COPY a b \\\n     c /app/\nCOPY --from=x /packages /packages\nCOPY --chmod=0644 d /d\n"

    assert [str(path) for path in containerfile.sources(text)] == ["a", "b", "c", "d"]
