"""Reading the Containerfile: its stages, what each copies, and keeping the derived lines up to date."""

import re
from collections.abc import Iterable
from pathlib import Path

from imagebuild import closure
from imagebuild.parts import PARTS, ROOT, Part

PATH = ROOT / "Containerfile"
_STAGE = re.compile(r"^FROM (?P<base>\S+)(?: AS (?P<name>\S+))?$")


def stages(text: str) -> dict[str, str]:
    """Stage name to its text, in order; what precedes the first stage has the empty name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if opened := _STAGE.match(line.strip()):
            name = opened["name"] or ""
        found[name] = found.get(name, "") + line
    return found


def needed(text: str, target: str) -> str:
    """Only the stages that `target` is built from, so that no image waits for the files of another."""
    found = stages(text)
    names, waiting = {""}, [target]
    while waiting:
        name = waiting.pop()
        if name in names or name not in found:
            continue
        names.add(name)
        waiting += _references(found[name])
    return "".join(part for name, part in found.items() if name in names)


def _references(stage: str) -> list[str]:
    return re.findall(r"^FROM (\S+)", stage, re.MULTILINE) + re.findall(r"--from=(\S+)", stage)


def sources(text: str) -> list[Path]:
    """What COPY lines take from the build context, in order."""
    found: list[Path] = []
    for line in _logical(text.splitlines()):
        words = line.split()
        if words[:1] == ["COPY"] and not any(word.startswith("--from=") for word in words):
            found += [Path(word) for word in words[1:-1] if not word.startswith("--")]
    return found


def _logical(lines: Iterable[str]) -> Iterable[str]:
    held = ""
    for line in lines:
        held += line.rstrip("\\")
        if not line.endswith("\\"):
            yield held
            held = ""


def block(text: str, part: Part) -> list[str]:
    """The derived lines as the Containerfile has them now."""
    found = re.search(rf"^# imports of {part.name}$\n(.*?)^# end$", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise LookupError(f"the Containerfile has no block '# imports of {part.name}'")
    return found[1].splitlines()


def updated(text: str) -> str:
    """The same Containerfile with every derived block written anew."""
    for part in PARTS:
        if part.modules:
            old, new = (_framed(part, lines) for lines in (block(text, part), closure.copies(part)))
            text = text.replace(old, new)
    return text


def _framed(part: Part, lines: list[str]) -> str:
    return "\n".join([f"# imports of {part.name}", *lines, "# end"])
