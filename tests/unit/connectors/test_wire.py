"""A request has one reading or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.connectors import wire
from doorward.core.action import Attachment
from doorward.errors import Code, Refusal

GOOD = {"connector": "code", "action": "issue.read", "args": {"number": 7}, "attachments": []}
SHA = "ab" * 32


def _bytes(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_a_request_is_read() -> None:
    """Members become values, attachments by hash and size."""
    found = wire.parse(_bytes(attachments=[{"name": "pack", "sha256": SHA, "size": 3}]))

    assert found == wire.Asked("code", "issue.read", {"number": 7}, (Attachment("pack", SHA, 3),))


@pytest.mark.parametrize(
    "body",
    [
        _bytes(connector=1),
        _bytes(action=None),
        _bytes(args=[]),
        _bytes(attachments={}),
        _bytes(attachments=["pack"]),
        _bytes(attachments=[{"name": "pack", "sha256": SHA.upper(), "size": 1}]),
        _bytes(attachments=[{"name": "pack", "sha256": SHA + "\n", "size": 1}]),
        _bytes(attachments=[{"name": "pack", "sha256": SHA, "size": -1}]),
        _bytes(attachments=[{"name": "pack", "sha256": SHA, "size": True}]),
        _bytes(attachments=[{"name": 1, "sha256": SHA, "size": 1}]),
        _bytes(attachments=[{"name": "pack", "sha256": SHA}]),
        _bytes(extra=1),
        b"{}",
    ],
)
def test_any_other_form_is_malformed(body: bytes) -> None:
    """A member too many, too few or of the wrong type is refused as such."""
    with pytest.raises(Refusal) as caught:
        wire.parse(body)

    assert caught.value.code == Code.MALFORMED


@given(
    st.binary(max_size=200)
    | st.builds(
        lambda value: json.dumps(value).encode(),
        st.dictionaries(
            st.sampled_from([*GOOD, "x"]),
            st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
        ),
    )
)
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Whatever comes in is a request or a refusal."""
    try:
        wire.parse(body)
    except Refusal as refusal:
        assert refusal.code == Code.MALFORMED  # noqa: PT017 - the other way out is a value


def test_references_fit_what_the_broker_takes() -> None:
    """An upstream's long answer does not make the outcome unreportable."""
    many = [wire.Reference("issue", str(number)) for number in range(200)]

    assert wire.reportable([wire.Reference("path", "a" * 257), *many]) == tuple(many[:100])
