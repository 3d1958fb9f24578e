"""Whatever arrives, the answer is a no, or a yes that a second reading of the rules agrees with."""

from __future__ import annotations

import json

import admissionfuzz
import podattacks
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

QUESTIONS = (admissionfuzz.asked(), admissionfuzz.asked(update=True))
RENDERED = json.dumps(QUESTIONS[0]).encode()
FOUND = json.loads((podattacks.TESTS / "vectors" / "admission-fuzzed.json").read_text())


def test_the_rendered_pod_is_a_yes() -> None:
    """What the changes start from is admitted, so that a change is what makes the difference."""
    assert admissionfuzz.check(RENDERED) is True


@examples(max_examples=100)
@given(st.data())
def test_a_changed_question_gets_no_yes_that_nothing_justifies(data: st.DataObject) -> None:
    """Members replaced, lost, doubled and added in any place of the review."""
    review = admissionfuzz.changed(
        data.draw(st.sampled_from(QUESTIONS)),
        lambda count: data.draw(st.integers(0, count - 1)),
        data.draw(st.integers(1, 4)),
    )

    assert admissionfuzz.check(json.dumps(review).encode()) in {True, False}


@examples(max_examples=100)
@given(
    start=st.integers(0, len(RENDERED)),
    size=st.integers(0, 40),
    put=st.binary(max_size=12),
    again=st.booleans(),
)
def test_changed_bytes_get_no_yes_that_nothing_justifies(
    start: int, size: int, put: bytes, again: bool
) -> None:
    """Bytes taken out, put in and repeated anywhere in the body."""
    taken = RENDERED[start : start + size]
    body = RENDERED[:start] + put + (taken * 2 if again else b"") + RENDERED[start + size :]

    assert admissionfuzz.check(body) in {True, False}


@pytest.mark.parametrize("vector", FOUND, ids=lambda vector: vector["origin"][:60])
def test_what_fuzzing_found_stays_found(vector: dict[str, object]) -> None:
    """Inputs that were once judged wrongly, or nearly, are judged as they must be."""
    body = str(vector["body"]).encode()

    assert admissionfuzz.check(body) is vector["yes"]
