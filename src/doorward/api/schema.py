"""The CustomResourceDefinitions, generated from the models: `python -m doorward.api.schema [--check] DIR`.

With `--check` nothing is written, and the exit code is 1 when a file is not up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from doorward.api import structural
from doorward.api.v1alpha1 import GROUP, KINDS, VERSION, Resource
from doorward.api.v1alpha1.base import Column


def definition(kind: type[Resource]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    info = kind.kind_info
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{info.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.__name__,
                "listKind": f"{kind.__name__}List",
                "plural": info.plural,
                "singular": info.singular,
                "shortNames": list(info.short_names),
                "categories": ["doorward"],
            },
            "scope": "Namespaced" if info.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in info.columns],
                    "schema": {"openAPIV3Schema": _schema(kind)},
                }
            ],
        },
    }


def documents() -> dict[str, str]:
    """File name -> YAML of every definition."""
    return {f"{kind.kind_info.plural}.yaml": yaml(definition(kind)) for kind in KINDS}


def yaml(value: Any) -> str:
    """A value of maps, lists and scalars as YAML, in its given order; texts are JSON strings."""
    return "\n".join(_lines(value)) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the definitions, or with `--check` compare them; returns the exit code."""
    check = "--check" in arguments
    folders = [Path(argument) for argument in arguments if argument != "--check"]
    if len(folders) != 1:
        sys.stderr.write("usage: python -m doorward.api.schema [--check] DIR\n")
        return 2
    stale = [name for name, text in documents().items() if not _is(folders[0] / name, text)]
    if check and stale:
        sys.stderr.write(f"not up to date: {', '.join(stale)}; run without --check\n")
        return 1
    for name in stale:
        (folders[0] / name).write_text(documents()[name])
    return 0


def _schema(kind: type[Resource]) -> dict[str, Any]:
    fields = kind.model_fields
    parts = {name: _model(fields[name].annotation) for name in ("spec", "status")}
    found: dict[str, Any] = {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema, doorward.dev/v1alpha1."},
            "kind": {"type": "string", "description": f"The kind, {kind.__name__}."},
            "metadata": {"type": "object"},
            **{
                name: {**structural.of(model), "description": fields[name].description}
                for name, model in parts.items()
            },
        },
    }
    if kind.kind_info.validations:
        found["x-kubernetes-validations"] = [dict(item) for item in kind.kind_info.validations]
    return found


def _model(annotation: Any) -> type[BaseModel]:
    found: type[BaseModel] = annotation
    return found


def _column(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return found | ({"priority": column.priority} if column.priority else {})


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{_key(key)}:", item, "  ")
    elif isinstance(value, list) and value:
        for item in value:
            lines = list(_lines(item))
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])
    else:
        yield json.dumps(value, ensure_ascii=False)


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping | list) and item:
        yield head
        yield from (f"{indent}{line}" for line in _lines(item))
    else:
        yield f"{head} {json.dumps(item, ensure_ascii=False)}"


def _key(key: str) -> str:
    plain = key[:1].isalpha() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain and key.lower() not in _WORDS else json.dumps(key, ensure_ascii=False)


_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Plain words that YAML reads as something else."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
