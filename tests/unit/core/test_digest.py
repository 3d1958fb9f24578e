"""The digest ties a decision to one execution."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import digest
from doorward.core.action import Action, ActionType, Attachment, resource_of
from doorward.core.effect import Effect
from doorward.errors import Code, Refusal

ACTION = Action("code", "issue.comment", {"repository": "acme/web", "issue": 7}, {"body": "hi"})


def test_the_digest_is_stable() -> None:
    """The value of a known action never changes: ledgers of years depend on it."""
    assert digest.of(ACTION) == ("sha256:fb67f0b98a1af03117d4e0b0049fb2511ee822ee0b9146bbafe20462685bd6a8")


@pytest.mark.parametrize(
    "change",
    [
        {"connector": "other"},
        {"name": "issue.create"},
        {"resource": {"repository": "acme/web", "issue": 8}},
        {"args": {"body": "ho"}},
        {"attachments": (Attachment("a", "00" * 32, 1),)},
    ],
)
def test_every_part_counts(change: dict[str, object]) -> None:
    """An action that differs in any part has another digest."""
    assert digest.of(dataclasses.replace(ACTION, **change)) != digest.of(ACTION)  # type: ignore[arg-type]


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_keys_does_not_count(keys: list[str]) -> None:
    """Two orders of the same arguments are the same action."""
    shuffled = dataclasses.replace(ACTION, args=dict.fromkeys(keys, 1))
    plain = dataclasses.replace(ACTION, args=dict.fromkeys("abcd", 1))

    assert digest.of(shuffled) == digest.of(plain)


def test_what_has_no_canonical_form_is_refused() -> None:
    """A number that doubles cannot hold is malformed, not rounded."""
    with pytest.raises(Refusal) as caught:
        digest.of_json({"n": 2**60})

    assert caught.value.code == Code.MALFORMED


COMMENT = ActionType(
    name="issue.comment",
    effect=Effect.DRAFT,
    summary="",
    arguments={},
    resource={"repository": "{owner}/{repo}", "issue": "number"},
)


def test_the_resource_comes_from_the_arguments() -> None:
    """Templates join arguments; bare names keep the argument's type."""
    args = {"owner": "acme", "repo": "web", "number": 7, "body": "x"}

    assert resource_of(COMMENT, args) == {"repository": "acme/web", "issue": 7}


@pytest.mark.parametrize(
    "args", [{"owner": "acme", "number": 7}, {"owner": "a", "repo": "b", "number": True}]
)
def test_a_resource_that_cannot_be_named_is_refused(args: dict[str, object]) -> None:
    """A missing or boolean argument names no resource."""
    with pytest.raises(Refusal) as caught:
        resource_of(COMMENT, args)  # type: ignore[arg-type]

    assert caught.value.code == Code.ARGUMENTS_INVALID
