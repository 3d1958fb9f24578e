"""What a part imports, and the COPY lines that follow from it.

The import contracts are the first wall between parts; an image that does not contain the other parts' code is
the second. Static analysis derives the list, the Containerfile spells it out, and a test compares the two.
"""

import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp

from imagebuild.parts import ROOT, Part

SOURCES = {"doorward": "src", "doorward_operator": "operator", "doorward_webhooks": "webhooks"}
"""Top-level package to its source root in the checkout."""


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        *SOURCES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def modules(part: Part) -> frozenset[str]:
    """Our modules that this part imports, directly or not, and the packages they lie in."""
    return frozenset(name for name in _reached(part) if name.partition(".")[0] in SOURCES)


def foreign(part: Part) -> frozenset[str]:
    """Top-level names of what it imports from elsewhere, standard library included."""
    return frozenset(name for name in _reached(part) if name.partition(".")[0] not in SOURCES)


def _reached(part: Part) -> set[str]:
    graph = _graph()
    waiting = [*part.modules]
    for package in part.loaded:
        waiting += [package, *graph.find_descendants(package)]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name not in graph.modules:
            raise LookupError(f"{part.name} starts with {name}, which does not exist")
        reached.add(name)
        if name.partition(".")[0] in SOURCES:
            waiting += [*_parents(name), *graph.find_modules_directly_imported_by(name)]
    return reached


def _parents(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words))]


def files(part: Part) -> frozenset[Path]:
    """Files of the closure relative to the checkout: modules, and the data files of their packages."""
    found: set[Path] = set()
    for name in modules(part):
        path = _path(name)
        found.add(path)
        if path.name == "__init__.py":
            found |= set(_data(path.parent))
    return frozenset(found)


def _path(name: str) -> Path:
    base = Path(SOURCES[name.partition(".")[0]], *name.split("."))
    module = base.with_suffix(".py")
    return module if (ROOT / module).exists() else base / "__init__.py"


def _data(package: Path) -> Iterator[Path]:
    """Files that are no code, in this package and in its folders that are no packages themselves."""
    for entry in sorted((ROOT / package).iterdir()):
        if entry.name == "__pycache__" or entry.suffix == ".py":
            continue
        if entry.is_file():
            yield entry.relative_to(ROOT)
        elif not any(entry.rglob("*.py")):
            yield from _folder(entry)


def _folder(entry: Path) -> Iterator[Path]:
    inside = sorted(path for path in entry.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    yield from (path.relative_to(ROOT) for path in inside)


def copies(part: Part) -> list[str]:
    """The COPY lines of this part: a whole package where all of it is imported, single files elsewhere."""
    wanted = files(part)
    lines: list[str] = []
    for package, source in sorted(SOURCES.items()):
        for instruction in _copy(Path(source, package), wanted, Path(source)):
            *first, last = textwrap.wrap(
                instruction, 108, subsequent_indent="     ", break_on_hyphens=False, break_long_words=False
            )
            lines += [*(f"{line} \\" for line in first), last]
    return lines


def _copy(folder: Path, wanted: frozenset[Path], root: Path) -> Iterator[str]:
    inside = {path for path in wanted if path.is_relative_to(folder)}
    if not inside:
        return
    target = Path("/app") / folder.relative_to(root)
    if inside == set(_folder(ROOT / folder)):
        yield f"COPY {folder} {target}"
        return
    single = sorted(str(path) for path in inside if path.parent == folder)
    if single:
        yield f"COPY {' '.join(single)} {target}/"
    for child in sorted(
        {folder / path.relative_to(folder).parts[0] for path in inside if path.parent != folder}
    ):
        yield from _copy(child, wanted, root)
