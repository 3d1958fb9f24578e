"""AdmissionReviews are read in one way or denied, and every answer has the form that the API server reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from doorward.errors import Code, Refusal
from doorward_webhooks.admission import review
from doorward_webhooks.admission.review import Denied, Operation

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


def test_what_the_api_server_sends_is_read(envelope: dict[str, Any]) -> None:
    """A review as a 1.34 API server sends it."""
    uid, raw = review.envelope(json.dumps(envelope).encode())
    found = review.read(raw)

    assert (uid, found.operation, found.resource, found.namespace, found.subresource) == (
        "9f16a1de-2d5a-4f1e-8a36-2c1a1d5e0b11",
        Operation.CREATE,
        "pods",
        "agents",
        "",
    )
    assert found.user.groups[-1] == "system:authenticated"
    assert found.object == envelope["request"]["object"]


@given(st.binary(max_size=400) | values.map(lambda value: json.dumps(value).encode()))
def test_bytes_that_are_no_review_are_refused(body: bytes) -> None:
    """Whatever arrives is a refusal, never an exception and never a review."""
    with pytest.raises(Refusal):
        review.envelope(body)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=values)
def test_a_member_of_another_form_is_refused_or_harmless(
    data: st.DataObject, value: Any, envelope: dict[str, Any]
) -> None:
    """No value in any member of the request breaks the reader; what is read has the promised types."""
    member = data.draw(st.sampled_from(sorted(envelope["request"])))
    request = {**envelope["request"], member: value}
    try:
        found = review.read(request)
    except Refusal as refusal:
        found = None
        code = refusal.code

    assert (found is None and code is Code.MALFORMED) or isinstance(found.user.name, str)


@pytest.mark.parametrize("member", ["resource", "userInfo", "operation"])
def test_a_request_without_what_decides_is_refused(member: str, envelope: dict[str, Any]) -> None:
    """Without user, resource or operation there is nothing to decide by."""
    request = {name: value for name, value in envelope["request"].items() if name != member}
    with pytest.raises(Refusal):
        review.read(request)


def test_a_duplicate_key_is_refused() -> None:
    """Two readers could see two pods."""
    body = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"a","uid":"b"}}'
    with pytest.raises(Refusal):
        review.envelope(body)


def test_another_version_is_refused() -> None:
    """A review of a version that we do not know is not guessed at."""
    with pytest.raises(Refusal):
        review.envelope(
            b'{"apiVersion":"admission.k8s.io/v2","kind":"AdmissionReview","request":{"uid":"a"}}'
        )


def test_a_yes_is_short() -> None:
    """Nothing but the uid and the yes."""
    expected = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u", "allowed": True},
    }

    assert expected == review.allowed("u")


def test_a_no_says_everything_in_one_text() -> None:
    """The API server shows people the message alone, so all of the refusal is in it."""
    refusal = Denied(
        Code.HOLDS_SECRET,
        "the pod has 1 place that must not be there",
        rule="pods.walk",
        allowed="plain values",
        ask="the platform team",
        causes=[("/spec/hostPID", "/spec/hostPID: bad; leave it out")],
    )
    status = review.denied("u", refusal)["response"]["status"]

    assert status["message"] == (
        "HoldsSecret: the pod has 1 place that must not be there\n  /spec/hostPID: bad; leave it out\n"
        "rule: pods.walk\nallowed: plain values\nask: the platform team"
    )
    assert (status["code"], status["reason"]) == (403, "HoldsSecret")
    assert [cause["field"] for cause in status["details"]["causes"]] == ["/spec/hostPID"]


def test_a_flood_of_causes_is_cut_and_counted() -> None:
    """A message stays readable, and says how much more there is."""
    refusal = Denied(Code.HOLDS_SECRET, "many", causes=[(f"/{n}", f"/{n}: x") for n in range(100)])

    assert review.sentence(refusal).splitlines()[-1] == "  and 60 more"
