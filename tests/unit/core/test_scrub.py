"""No credential leaves in any spelling."""

from __future__ import annotations

import base64
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import redact, scrub
from doorward.core.redact import Secret

secrets = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789_+/=-.~!", min_size=12, max_size=48)
around = st.text(st.characters(max_codepoint=0x2FF, exclude_characters="%"), max_size=20)
spellings = st.sampled_from(
    [
        lambda text: text,
        lambda text: quote(text, safe=""),
        quote_plus,
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        lambda text: text.encode().hex(),
    ]
)


pieces = st.sampled_from(
    [
        *(
            "ghs_",
            "github_pat_",
            "eyJhbGciOi",
            "eyJ",
            ".sig.",
            "-----BEGIN PRIVATE KEY-----",
            "://",
            "me:pw@host",
        ),
        *(
            "bearer ",
            "Bearer ",
            "BASIC ",
            "ba\u017fic ",
            "bas\u0131c ",
            "to\u212aen ",
            "token ",
            "a1B2c3D4e5F6",
        ),
        *("a" * 22, "b" * 23, "\r\n", "\n", "\r", " ", "=", "%41", "/", "0123456789abcdefghij", "prose"),
    ]
)


@given(st.lists(pieces | st.text(max_size=4), max_size=8).map("".join))
def test_looking_first_misses_nothing(text: str) -> None:
    """What is looked at closely is all that a shape can match, with letters that only count as others too."""
    long = len(text) >= scrub._SHORTEST and scrub._LONG.search(text) is not None

    assert redact.text(text) == redact._SHAPES.sub(redact.MASK, text)
    assert long or not scrub._BASE64.search(text)


@given(secrets, around, around, spellings)
def test_a_known_secret_is_gone_in_every_spelling(
    secret: str, before: str, after: str, spelt: object
) -> None:
    """Whatever stands around it and however it is encoded, its characters are not in the result."""
    shown = spelt(secret)  # type: ignore[operator]

    found = scrub.scrubber([Secret(secret)]).text(f"{before} {shown} {after}")

    assert shown not in found
    assert secret not in found


@given(secrets, st.binary(max_size=40), st.binary(max_size=40))
def test_a_known_secret_is_gone_within_base64(secret: str, before: bytes, after: bytes) -> None:
    """At any alignment, decoding what is left does not give the secret back."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()

    found = scrub.scrubber([Secret(secret)]).text(encoded)

    for start in range(4):
        rest = found.replace(redact.MASK, "").rstrip("=")[start:]
        plain = base64.b64decode(rest[: len(rest) - len(rest) % 4])
        assert secret.encode() not in plain


@given(st.recursive(st.none() | st.integers() | st.booleans() | st.text(max_size=60), st.lists, max_leaves=8))
def test_without_secrets_a_document_stays_as_it_is(value: object) -> None:
    """Ordinary text, numbers and structure are not touched."""
    assert scrub.scrubber([Secret("correct-horse-battery")]).json(value) == value  # type: ignore[arg-type]


def test_names_of_members_are_scrubbed_too() -> None:
    """A credential used as a key is masked like a value."""
    found = scrub.scrubber().json({"ghp_" + "a" * 36: ["glued:ghp_" + "b" * 36]})

    assert found == {redact.MASK: [f"glued:{redact.MASK}"]}


@pytest.mark.parametrize(
    "hostile",
    ["eyJ", "eyJaaaaaaaa.", "%", "%2", "a%25", "://", "://a:", "-----BEGIN ", "A", "A\n", "bearer ", "ghp_"],
)
def test_the_time_grows_with_the_length(hostile: str) -> None:
    """No text makes masking quadratic: half a megabyte of the worst takes less than two seconds."""
    text = hostile * (500_000 // len(hostile))
    started = time.process_time()

    scrub.scrubber([Secret("correct-horse-battery")]).text(text)

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "prose",
    [
        "The token expiration is short; Basic authentication is off, so is Bearer authentication.",
        "token verification/validation, basic functionality",
    ],
)
def test_prose_about_credentials_stays_readable(prose: str) -> None:
    """An issue that talks of tokens arrives as it was written."""
    assert scrub.scrubber().text(prose) == prose


@pytest.mark.parametrize(
    "credential",
    ["Bearer ya29.a0AfH6SMB", "basic dXNlcjpwYXNz", "token 9f8e7d6c5b4a3928", "Bearer " + "q" * 16],
)
def test_what_follows_a_scheme_is_masked(credential: str) -> None:
    """The value of an Authorization header that turns up in a text does not arrive."""
    scheme = credential.partition(" ")[0]

    assert scrub.scrubber().text(f"sent {credential} to it") == f"sent {scheme} {redact.MASK} to it"


def test_an_empty_secret_masks_nothing() -> None:
    """An empty value is no needle: it would be found everywhere."""
    assert scrub.scrubber([Secret("")]).text("plain") == "plain"
