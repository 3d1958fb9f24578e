"""Selectors mean what they mean to the API server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import selectors

LABELS = {"app": "web", "tier": "front"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    """A selector with one expression."""
    item = {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
    return {"matchExpressions": [item]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "web", "tier": "back"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        (expression("app", "In", "api", "web"), True),
        (expression("app", "In", "api"), False),
        (expression("absent", "In", ""), False),
        (expression("app", "NotIn", "api"), True),
        (expression("app", "NotIn", "web"), False),
        (expression("absent", "NotIn", "web"), True),
        (expression("app", "Exists"), True),
        (expression("absent", "Exists"), False),
        (expression("app", "DoesNotExist"), False),
        (expression("absent", "DoesNotExist"), True),
        ({"matchLabels": {"app": "web"}, **expression("tier", "In", "back")}, False),
    ],
)
def test_each_form_of_requirement(selector: dict[str, Any], expected: bool) -> None:
    """The table of the Kubernetes documentation."""
    assert selectors.selects(selector, LABELS) == expected


def test_an_operator_that_does_not_exist_is_no_answer() -> None:
    """Neither yes nor no is guessed."""
    with pytest.raises(ValueError, match="Gt"):
        selectors.selects(expression("app", "Gt", "1"), LABELS)


_KEYS = st.sampled_from(["a", "b", "c"])
_VALUES = st.sampled_from(["x", "y", "z"])
_LABELS = st.dictionaries(_KEYS, _VALUES)
_PAIRS = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}


@given(_LABELS, _KEYS, st.sampled_from(sorted(_PAIRS)), st.lists(_VALUES, min_size=1))
def test_operators_come_in_opposites(
    labels: dict[str, str], key: str, operator: str, values: list[str]
) -> None:
    """For every label set exactly one of In and NotIn holds, and one of Exists and DoesNotExist."""
    one, other = (selectors.holds(labels, {}, [(key, op, values)]) for op in (operator, _PAIRS[operator]))

    assert one != other


@given(_LABELS, _LABELS)
def test_labels_are_expressions_with_one_value(labels: dict[str, str], wanted: dict[str, str]) -> None:
    """`matchLabels` is short for `In` with one value."""
    requirements = [(key, "In", [value]) for key, value in wanted.items()]

    assert selectors.holds(labels, wanted) == selectors.holds(labels, {}, requirements)
