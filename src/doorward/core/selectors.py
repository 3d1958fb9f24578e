"""Label selectors as Kubernetes defines them: all requirements must hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Labels: TypeAlias = Mapping[str, str]
Requirement: TypeAlias = tuple[str, str, Sequence[str]]
"""`(label, operator, values)`; the operator is In, NotIn, Exists or DoesNotExist."""


def holds(labels: Labels, wanted: Labels, requirements: Iterable[Requirement] = ()) -> bool:
    """Whether the labels have the wanted values and meet the requirements; nothing wanted holds always.

    `NotIn` holds where the label is missing. Raises `ValueError` for an operator that does not exist.
    """
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _met(labels, requirement) for requirement in requirements
    )


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """The same for a selector as the API server stores it (`matchLabels`, `matchExpressions`).

    An empty selector selects everything. Raises `ValueError` for an operator that does not exist.
    """
    requirements = [
        (item["key"], item["operator"], item.get("values") or ())
        for item in selector.get("matchExpressions") or ()
    ]
    return holds(labels, selector.get("matchLabels") or {}, requirements)


def _met(labels: Labels, requirement: Requirement) -> bool:
    key, operator, values = requirement
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            raise ValueError(f"unknown selector operator {operator}")
