"""Policies and accounts are compared in full, and what somebody added is taken away."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from doorward_operator.surroundings import missing

DESIRED: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "n", "labels": {"app": "d"}, "ownerReferences": [{"uid": "r"}]},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{"to": []}]},
}


def live() -> dict[str, Any]:
    """The object as the server would give it."""
    found = copy.deepcopy(DESIRED)
    found["metadata"] |= {"uid": "1", "resourceVersion": "5", "creationTimestamp": "x"}
    found["metadata"]["labels"]["somebody"] = "else"
    return found


def test_nothing_to_do() -> None:
    """Labels of others and the server's own lines are no reason to write."""
    assert missing(live(), DESIRED) is None


def test_what_is_not_there_is_applied() -> None:
    """Server-side apply makes it."""
    found = missing(None, DESIRED)
    assert found is not None
    assert found.desired == DESIRED
    assert found.repair is None


CHANGES = [
    lambda found: found["spec"].update(policyTypes=["Ingress"]),
    lambda found: found["spec"]["egress"].append({}),
    lambda found: found["spec"].update(podSelector={"matchLabels": {"a": "b"}}),
    lambda found: found["spec"].pop("egress"),
    lambda found: found["metadata"]["labels"].pop("app"),
    lambda found: found["metadata"].update(ownerReferences=[]),
    lambda found: found["spec"].update(ingress=[{}]),
    lambda found: found.update(secrets=[{"name": "s"}]),
]


@given(st.sampled_from(CHANGES))
def test_every_change_is_seen(change: Any) -> None:
    """Nothing that somebody changed passes for what was rendered."""
    found = live()
    change(found)

    assert missing(found, DESIRED) is not None


def test_what_was_added_is_taken_away_and_only_from_this_version() -> None:
    """The repair names each addition, restores the rest, and fails if the object has changed again."""
    found = live()
    found["spec"] |= {"ingress": [{}], "policyTypes": ["Ingress"]}
    found["imagePullSecrets"] = [{"name": "s"}]
    wanted = missing(found, DESIRED)

    assert wanted is not None
    assert wanted.repair is not None
    assert wanted.repair["spec"] == {**DESIRED["spec"], "ingress": None}
    assert wanted.repair["imagePullSecrets"] is None
    assert wanted.repair["metadata"]["resourceVersion"] == "5"


ACCOUNT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "automountServiceAccountToken": False,
    "metadata": {"name": "a", "namespace": "n", "labels": {"app": "d"}},
}


def test_an_account_keeps_no_annotation_of_others() -> None:
    """A cloud gives the pods of an account the identity that an annotation names."""
    found = copy.deepcopy(ACCOUNT)
    found["metadata"] |= {"resourceVersion": "5", "annotations": {"cloud.example/role": "admin"}}
    wanted = missing(found, ACCOUNT)

    assert wanted is not None
    assert wanted.repair == {
        "automountServiceAccountToken": False,
        "metadata": {
            "annotations": {"cloud.example/role": None},
            "labels": {"app": "d"},
            "resourceVersion": "5",
        },
    }


def test_annotations_of_a_policy_may_stay() -> None:
    """They open nothing, and tools leave their notes there."""
    found = live()
    found["metadata"]["annotations"] = {"tool.example/note": "seen"}

    assert missing(found, DESIRED) is None
