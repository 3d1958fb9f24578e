"""Credentials written out are found in their issuers' forms, and ordinary text is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_webhooks.admission import literals

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "literals.json").read_text())


def forms(text: str, called: str = "") -> set[str]:
    """Names of what is found in a text."""
    return {found.name for found in literals.find(text, called)}


@pytest.mark.parametrize("vector", VECTORS["credentials"], ids=range(len(VECTORS["credentials"])))
@pytest.mark.parametrize("around", ["{}", "export X='{}'", "see {} for it"])
def test_each_form_is_found_wherever_it_stands(vector: dict[str, Any], around: str) -> None:
    """A credential is found alone, in a command and in a sentence."""
    text = "".join(vector["parts"])
    named = vector["form"].endswith("called a secret")
    text = text if named else around.replace("{}", text)

    assert vector["form"] in forms(text, vector.get("called", ""))


@pytest.mark.parametrize("vector", VECTORS["innocent"], ids=lambda vector: vector["text"][:30])
def test_ordinary_text_is_left_alone(vector: dict[str, str]) -> None:
    """Commit ids, digests, UUIDs, paths, certificates and the placeholder raise no alarm."""
    assert set() == forms(vector["text"], vector.get("called", ""))


def test_every_form_has_a_vector() -> None:
    """A form without an example could match nothing, and nobody would know."""
    known = {item.name for item in literals.formats()}

    assert known <= {vector["form"] for vector in VECTORS["credentials"]}


@given(st.text(max_size=2000), st.text(max_size=40))
def test_any_text_can_be_searched(text: str, called: str) -> None:
    """No text breaks the search, and what is found has a fingerprint and not the text."""
    for found in literals.find(text, called):
        assert found.fingerprint.startswith("sha256:")


def test_an_accepted_literal_is_passed_over_and_its_neighbour_is_not() -> None:
    """An exception is for one text, not for the place where it stands."""
    first, second = ("".join(VECTORS["credentials"][index]["parts"]) for index in (9, 15))
    accepted = literals.accepted({literals.ACCEPTED: f" {literals.fingerprint(first)} ,"})
    found = list(literals.find_in({"input": {"a": first, "b": [f"{first} {second}"]}}, accepted))

    assert [(pointer, item.name) for pointer, item in found] == [("/input/b/0", "GitHub token")]


def test_what_is_found_is_never_shown() -> None:
    """A suspicion can be logged: it does not carry the credential."""
    text = "".join(VECTORS["credentials"][9]["parts"])

    assert text not in repr(list(literals.find(text)))
