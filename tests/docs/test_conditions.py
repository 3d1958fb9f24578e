"""What docs/conditions.md shows is what the policy takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from doorward.policy import evaluate
from doorward.policy.provenance import MEMBERS, Own

PAGE = (Path(__file__).parents[2] / "docs" / "conditions.md").read_text()
EXAMPLES = re.findall(r"^```cel ?([a-z-]*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
OWN = Own("merger")


@pytest.mark.parametrize(("kind", "expression"), EXAMPLES)
def test_each_example_can_be_a_condition(kind: str, expression: str) -> None:
    """It compiles, and where the page says that it guards a merge or does not, so does the proof."""
    assert evaluate.fault(expression) is None
    assert kind == "" or evaluate.rests_on_others(expression, OWN) is (kind == "guard")


def test_every_name_is_on_the_page() -> None:
    """Each variable, function and member that a condition may use is explained."""
    names = {name.removesuffix("()") for name in evaluate.VARIABLES}
    members = {member for kind, found in MEMBERS.items() if "silent" not in kind for member in found}
    missing = [name for name in sorted(names | members) if not re.search(rf"\b{re.escape(name)}\b", PAGE)]

    assert (len(EXAMPLES), missing) == (11, [])


def test_the_bounds_are_on_the_page() -> None:
    """The numbers are those of the code."""
    bounds = [f"{evaluate.MAX_NODES} parts", "2,048 characters", "three loops", "10,000 turns"]

    assert [bound for bound in bounds if bound not in PAGE] == []
    assert evaluate.MAX_LOOPS == 3
