"""Credentials written out are found in their issuers' forms, and ordinary text is left alone."""

from __future__ import annotations

import gc
import json
import weakref
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


def example(form: str) -> str:
    """The first credential of a form."""
    return next("".join(item["parts"]) for item in VECTORS["credentials"] if item["form"] == form)


@pytest.mark.parametrize("vector", VECTORS["credentials"], ids=range(len(VECTORS["credentials"])))
@pytest.mark.parametrize("around", ["{}", "export X='{}'", "see {} for it"])
def test_each_form_is_found_wherever_it_stands(vector: dict[str, Any], around: str) -> None:
    """A credential is found alone, in a command and in a sentence."""
    text = "".join(vector["parts"])
    named = vector["form"].endswith("called a secret")
    text = text if named else around.replace("{}", text)

    assert vector["form"] in forms(text, vector.get("called", ""))


@pytest.mark.parametrize("vector", VECTORS["innocent"], ids=range(len(VECTORS["innocent"])))
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
    first, second = example("AWS access key id"), example("GitHub token")
    accepted = literals.accepted({literals.ACCEPTED: f" {literals.fingerprint(first)} ,"})
    found = list(literals.find_in({"input": {"a": first, "b": [f"{first} {second}"]}}, accepted))

    assert [(pointer, item.name) for pointer, item in found] == [("/input/b/0", "GitHub token")]


def test_what_is_found_is_never_shown() -> None:
    """A suspicion can be logged: it does not carry the credential."""
    text = example("AWS access key id")

    assert text not in repr(list(literals.find(text)))


RANDOM = "aB3dE5gH7jK9mN1pQ3sT5vW7"
"""Twenty-four characters, all different."""
SLASHED = "aB3dE5gH7/jK9mN1pQ3sT5vW7/yZ2bC4dF6hJ8k+"
"""Forty characters as base64 writes them, no run of them long enough to be looked at alone."""
EDGE = "aB3dE5gH7jK9mN1/paB3dE5gH7jK9mN/1pQsTuVw2QsTuVw/2QsTuVw2QsTuVw2/"
"""Sixty-four characters of four and a half bits each: sixteen of them twice, eight four times."""


@pytest.mark.parametrize(
    ("text", "called", "found"),
    [
        (RANDOM, "", ["a random text"]),
        (RANDOM[:23], "", []),
        (RANDOM.lower(), "", []),
        (RANDOM.upper(), "", []),
        ("aBcDeFgHiJkLmNoPqRsTuVwX", "", []),
        ("aB3" * 8, "", []),
        (f"x {RANDOM} y {RANDOM}", "", ["a random text"] * 2),
        (f"-----BEGIN CERTIFICATE-----\n{RANDOM}\n-----END CERTIFICATE-----", "", []),
        (f"-----BEGIN CERTIFICATE-----\nA-----END CERTIFICATE-----{RANDOM}", "", ["a random text"]),
        ("0123456789abcdef", "my_token", ["a random text that is called a secret"]),
        ("0123456789abcde", "my_token", []),
        ("0123456789abcdef", "colour", []),
        ("0123456789abcdef", "authentication", ["a random text that is called a secret"]),
        ("0123456789abcdef", "author", []),
        (SLASHED, "password", ["a random text that is called a secret"]),
        (f"{SLASHED}==", "password", ["a random text that is called a secret"]),
        (SLASHED, "colour", []),
        (SLASHED[:-1], "password", []),
        (SLASHED.replace("/", "."), "password", ["a random text that is called a secret"]),
        (SLASHED.replace("/", "/."), "password", []),
        (SLASHED.lower(), "password", []),
        (EDGE, "password", ["a random text that is called a secret"]),
        (EDGE.replace("p", "a"), "password", []),
        ("aB3/" * 10, "password", []),
        ("abcdefghijklmnop", "password", []),
        ("0011001100110011", "password", []),
        ("01234567/9abcdef", "password", []),
        ("01234567 9abcdef", "password", []),
        ("--api-key=0123456789abcdef", "", ["a random text that is called a secret"]),
        ("--colour=0123456789abcdef", "password", []),
        ("api-key=0123456789abcdef", "", []),
        ("--password=", "password", []),
        ("doorward-placeholder", "password", []),
        ("doorward-placeholder1", "password", ["a random text that is called a secret"]),
    ],
)
def test_where_randomness_begins(text: str, called: str, found: list[str]) -> None:
    """Length, mixture and entropy have edges, and each is where it says."""
    assert [item.name for item in literals.find(text, called)] == found


def test_flags_call_what_follows_them_and_the_fingerprint_is_of_that_alone() -> None:
    """`--token=X`, accepted by the fingerprint of X."""
    value = "0123456789abcdef"

    assert [item.fingerprint for item in literals.find(f"--token={value}")] == [literals.fingerprint(value)]


def test_a_fingerprint_is_the_sha_256_of_the_text() -> None:
    """Whoever wants to accept a text can compute it by other means."""
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    assert literals.fingerprint("abc") == expected


@pytest.mark.parametrize(
    ("written", "read"),
    [("sha256:a", {"sha256:a"}), (" a , b,,", {"a", "b"}), ("", set()), (" , ", set())],
)
def test_accepted_fingerprints_are_separated_by_commas(written: str, read: set[str]) -> None:
    """Blanks and empty parts are nothing."""
    assert literals.accepted({literals.ACCEPTED: written}) == read
    assert literals.accepted({"doorward.dev/other": written}) == frozenset()


def test_every_place_of_a_value_is_searched() -> None:
    """Texts, items of lists and tuples, members and their names, each under its pointer."""
    token = "ghp_" + "a" * 36
    value = {
        token: 1,
        "list": ["x", token],
        "tuple": (token,),
        "a/b": {"c~d": token},
        "number": 7,
        "none": None,
    }
    places = [pointer for pointer, _ in literals.find_in(value)]

    assert places == [f"/{token}", "/list/1", "/tuple/0", "/a~1b/c~0d"]


def test_a_member_named_value_goes_by_the_name_beside_it() -> None:
    """As in a container's variables; a name that is no text calls nothing."""
    text = "0123456789abcdef"
    found = literals.find_in(
        [{"name": "TOKEN", "value": text}, {"name": 1, "value": text}, {"token": [text]}]
    )

    assert [pointer for pointer, _ in found] == ["/0/value", "/2/token/0"]


@pytest.mark.parametrize(("key", "written"), [("a", "a"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~/", "~0~1")])
def test_names_are_escaped_for_pointers(key: str, written: str) -> None:
    """RFC 6901."""
    assert literals.escaped(key) == written


class Text(str):
    """A text that can be seen to be let go of."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize(("word", "kept"), [("a-word-of-this-test-alone", True), ("ghp_" + "a" * 36, False)])
def test_no_credential_is_remembered(word: str, *, kept: bool) -> None:
    """Ordinary texts are, since pods are alike; a credential is gone with the pod that held it."""
    text = Text(word)
    seen = weakref.ref(text)
    found = [bool(literals.find(text)) for _ in range(2)]
    del text
    gc.collect()

    assert (found, seen() is not None) == ([not kept] * 2, kept)
