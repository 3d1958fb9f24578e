"""The census as a document: each place with its reason, and nothing that could be overlooked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doorward_webhooks.admission import literals
from doorward_webhooks.census.survey import Survey, judged, report

AT = 1_800_000_000.0
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG6"


def pod(**spec: Any) -> dict[str, Any]:
    """A pod of somebody else."""
    metadata = {"name": "old", "namespace": "agents", "uid": "u-1", "labels": {"doorward.dev/role": "fixer"}}
    containers = [{"name": "a", "image": "x", "env": spec.pop("env", [])}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": containers, **spec},
    }


def test_a_secret_is_reported_with_its_place_and_remedy() -> None:
    """The number is that of the list in docs/admission.md."""
    found = judged(pod(volumes=[{"name": "s", "secret": {"secretName": "prod-db"}}]), {})
    assert found is not None
    document = report(Survey(AT, ("agents",), {}, 7, (found,)))
    places = {place["pointer"]: place for place in document["findings"][0]["places"]}

    assert (document["at"], document["podsWithSecrets"], document["podsSeen"]) == (
        "2027-01-15T08:00:00Z",
        1,
        7,
    )
    assert places["/spec/volumes/0/secret"]["item"] == "1"
    assert "Connector" in places["/spec/volumes/0/secret"]["remedy"]
    assert json.loads(json.dumps(document)) == document


def test_a_text_that_the_role_accepts_is_none() -> None:
    """The exception is the role's, by fingerprint; the report itself never shows the text."""
    holding = pod(env=[{"name": "KEY", "value": TOKEN}])
    fingerprints = {found.fingerprint for _, found in literals.find_in({"KEY": TOKEN})}
    found = judged(holding, {})
    assert found is not None
    accepted = judged(holding, {("agents", "fixer"): frozenset(fingerprints)})
    reported = {place.pointer for place in found.places}
    remaining = {place.pointer for place in accepted.places} if accepted else set()

    assert reported - remaining == {"/spec/containers/0/env/0/value"}
    assert TOKEN not in json.dumps(report(Survey(AT, ("agents",), {}, 1, (found,))))


@pytest.mark.parametrize(
    ("unseen", "clean"), [({}, True), ({"agents": "forbidden"}, False)], ids=["seen", "unseen"]
)
def test_what_was_not_seen_is_not_clean(unseen: dict[str, str], clean: bool) -> None:
    """An empty list of findings says nothing about a namespace that nobody could look into."""
    result = Survey(AT, (), unseen, 0, ())

    assert result.clean == clean
    assert [item["namespace"] for item in report(result)["namespacesUnseen"]] == list(unseen)
