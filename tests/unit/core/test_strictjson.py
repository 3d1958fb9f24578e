"""JSON with one reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import strictjson
from doorward.errors import Code, Refusal

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/json/refused.json").read_text())

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-strictjson.MAX_INTEGER, strictjson.MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_has_two_readings_is_refused(vector: dict[str, str]) -> None:
    """Each vector is `malformed`, with a sentence that says what is wrong."""
    data = bytes.fromhex(vector["hex"]) if "hex" in vector else vector["text"].encode()

    with pytest.raises(Refusal) as caught:
        strictjson.loads(data, max_bytes=1000)

    assert caught.value.code == Code.MALFORMED
    assert vector["says"] in caught.value.detail


@given(values)
def test_what_is_accepted_is_what_was_sent(value: strictjson.Json) -> None:
    """Reading back what was written gives the same value."""
    data = json.dumps(value).encode()

    assert strictjson.loads(data, max_bytes=1_000_000) == value


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No input raises anything but a refusal."""
    try:
        strictjson.loads(data, max_bytes=64)
    except Refusal as refusal:
        assert refusal.code == Code.MALFORMED  # noqa: PT017 - the other way out is a value


def test_size_is_checked_before_parsing() -> None:
    """A body over the bound is refused as too large, whatever is in it."""
    with pytest.raises(Refusal) as caught:
        strictjson.loads(b"[" * 11, max_bytes=10)

    assert caught.value.status == 413


def test_an_object_is_demanded() -> None:
    """Where an object is expected, a list is malformed."""
    with pytest.raises(Refusal) as caught:
        strictjson.load_object(b"[]", max_bytes=10)

    assert caught.value.code == Code.MALFORMED
