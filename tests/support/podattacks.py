"""The attacks under tests/attacks/pods: a file is a way to a secret, a case is one change to a clean pod."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TESTS = Path(__file__).parents[1]
FOLDER = TESTS / "attacks" / "pods"
CLEAN: Mapping[str, Any] = json.loads((TESTS / "unit/render/golden/small.json").read_text())
"""A pod as the operator makes it."""


@dataclass(frozen=True)
class Case:
    """One change to the clean pod."""

    name: str
    item: str
    says: str
    add: Mapping[str, Any]
    remove: Sequence[str]
    refused: Sequence[str]
    """Pointers that the walk must name; `-` is the place that the change took at the end of a list."""

    def applied(self, pod: Mapping[str, Any] = CLEAN) -> tuple[dict[str, Any], list[str]]:
        """The changed pod, and the pointers with `-` filled in."""
        changed = copy.deepcopy(dict(pod))
        refused = list(self.refused)
        for pointer in self.remove:
            holder, key = _place(changed, pointer)
            del holder[key]
        for pointer, value in self.add.items():
            place = _set(changed, pointer, copy.deepcopy(value))
            refused = [
                place + path.removeprefix(pointer) if path.startswith(pointer) else path for path in refused
            ]
        return changed, refused


def cases() -> list[Case]:
    """Every case of every file."""
    found = []
    for path in sorted(FOLDER.glob("[0-9]*.yaml")):
        raw = yaml.safe_load(path.read_text())
        for number, case in enumerate(raw["cases"]):
            found.append(
                Case(
                    name=f"{path.stem}-{number}",
                    item=raw["item"],
                    says=raw["says"],
                    add=case.get("add", {}),
                    remove=case.get("remove", ()),
                    refused=case["refused"],
                )
            )
    return found


def _place(document: Any, pointer: str) -> tuple[Any, Any]:
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document.setdefault(part, {})
    return document, int(last) if isinstance(document, list) and last != "-" else last


def _set(document: Any, pointer: str, value: Any) -> str:
    """Add or replace; gives the pointer of where it went."""
    holder, key = _place(document, pointer)
    if key == "-":
        holder.append(value)
        return f"{pointer.removesuffix('-')}{len(holder) - 1}"
    holder[key] = value
    return pointer
