"""Who may ask people and who may answer, on a real server with the real webhook and the chart's policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from admissionworld import API, DIGEST, grant_document
from forgeries import BASE, EVERYBODY, GRANT, Forgery, answer, forgeries

from devcluster.wait import until
from doorward.api.v1alpha1 import approval_name

BROKER = "system:serviceaccount:doorward-system:doorward-broker"
NAME = approval_name(GRANT, "carol")


@pytest.mark.parametrize("forgery", forgeries(), ids=lambda each: each.name)
def test_nobody_asks_or_answers_as_somebody_else(forgery: Forgery, world: Any, asked: str) -> None:
    """Each way of tests/attacks/people is refused with a sentence that says what is right."""
    refusal = forgery.tried(world.api, asked)

    assert forgery.says in refusal.message
    assert refusal.status in {403, 409}


def approval(name: str = NAME, **spec: Any) -> dict[str, Any]:
    """An Approval as a person writes it: nothing that is filled in."""
    base = {"grant": GRANT, "digest": DIGEST, "decision": "Approve"}
    metadata = {"name": name, "namespace": "agents"}
    return {"apiVersion": API, "kind": "Approval", "metadata": metadata, "spec": {**base, **spec}}


@pytest.fixture
def approved(world: Any, asked: str) -> Iterator[dict[str, Any]]:
    """Carol's answer."""
    made = world.api("POST", f"{BASE}/approvals", approval(), user="carol", groups=("leads",))
    assert made.status == 201, made.message
    yield made.document
    world.kubectl("-n", "agents", "delete", "approval", NAME)


def test_who_answered_is_filled_in(approved: dict[str, Any]) -> None:
    """Name and groups are those of the request, so that nobody writes them."""
    assert approved["spec"] == {**answer("carol"), "groups": ["leads", EVERYBODY]}


def test_nobody_answers_twice(world: Any, approved: dict[str, Any]) -> None:
    """The name is taken, and what was said stays said."""
    again = world.api("POST", f"{BASE}/approvals", approval(decision="Deny"), user="carol")
    patch = {"spec": {"decision": "Deny"}}
    merge = "application/merge-patch+json"
    changed = world.api("PATCH", f"{BASE}/approvals/{NAME}", patch, user="carol", media_type=merge)

    assert (again.status, again.document["reason"]) == (409, "AlreadyExists")
    assert "an answer stands" in changed.message


def test_an_answer_is_nobody_elses_to_apply_again(world: Any, approved: dict[str, Any]) -> None:
    """The manifest of an Approval, in other hands, is another's name."""
    metadata = {"name": NAME, "namespace": "agents"}
    manifest = {**approved, "metadata": metadata}
    taken = world.api("POST", f"{BASE}/approvals?dryRun=All", manifest, user="dora", groups=("leads",))

    assert "in your own name, dora" in taken.message


def test_an_administrator_does_not_approve(world: Any, asked: str) -> None:
    """Who may do everything may also use the role, so the second person is somebody else."""
    name = approval_name(GRANT, "kubernetes-admin")
    as_admin = {"user": "kubernetes-admin", "groups": ("system:masters",)}
    refused = world.api("POST", f"{BASE}/approvals?dryRun=All", approval(name), **as_admin)

    assert "does not approve" in refused.message


def test_the_broker_asks_and_says_how_it_stands(world: Any, asked: str) -> None:
    """Grants and their status are its own to write; RBAC is played by an administrator's group here."""
    document = grant_document(task={"name": "asked", "uid": asked})
    as_broker = {"user": BROKER, "groups": ("system:masters",)}
    made = world.api("POST", f"{BASE}/grants?dryRun=All", document, **as_broker)
    said = world.api(
        "PATCH",
        f"{BASE}/grants/{GRANT}/status?dryRun=All",
        {"status": {"phase": "Active"}},
        media_type="application/merge-patch+json",
        **as_broker,
    )

    assert (made.status, made.document["spec"]["author"]) == (201, BROKER)
    assert (said.status, said.document["status"]["phase"]) == (200, "Active")


def test_a_status_in_the_manifest_of_an_answer_is_nothing(world: Any, asked: str) -> None:
    """The server drops it: what an Approval says of itself counts for nobody."""
    status = {"conditions": [], "observedGeneration": 1}
    made = world.api("POST", f"{BASE}/approvals?dryRun=All", {**approval(), "status": status}, user="carol")

    assert (made.status, "status" in made.document) == (201, False)


def test_an_answer_to_a_new_grant_waits_for_the_watch(world: Any, asked: str) -> None:
    """Whoever answers the moment a Grant appears is not sent away."""
    document = grant_document(task={"name": "asked", "uid": asked})
    document["metadata"]["name"] = "just-made"
    assert world.api("POST", f"{BASE}/grants", document, user="wendy").status == 201
    name = approval_name("just-made", "carol")
    path = f"{BASE}/approvals?dryRun=All"
    made = world.api("POST", path, approval(name, grant="just-made"), user="carol")
    world.kubectl("-n", "agents", "delete", "grant", "just-made")

    assert made.status == 201, made.message


def test_a_grant_that_is_gone_takes_no_answers(world: Any, asked: str) -> None:
    """Until the news has arrived nothing is lost: the broker looks again."""
    name = approval_name("never-made", "carol")
    document = approval(name, grant="never-made")

    def refused() -> bool:
        found = world.api("POST", f"{BASE}/approvals?dryRun=All", document, user="carol")
        return "there is no Grant never-made here" in found.message

    until(refused, "the refusal")


def test_who_has_no_right_to_the_status_is_stopped_before(world: Any, asked: str) -> None:
    """The chart gives nobody but the broker the right to write a status."""
    path = f"{BASE}/grants/{GRANT}/status?dryRun=All"
    body = {"status": {"phase": "Active"}}
    refused = world.api("PATCH", path, body, user="carol", media_type="application/merge-patch+json")

    assert refused.status == 403
