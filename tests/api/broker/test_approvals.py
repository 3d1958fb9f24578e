"""Grants, Approvals and what RBAC says of approvers, on a real API server under the chart's rights."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from attempts import ARGS, code_of, hands_token, once_ready, prove, redeemed
from authority import Authority

from devcluster.kubectl import Kubectl
from doorward.broker.settings import Settings
from doorward.door.broker import Broker as Door
from doorward.door.standing import PENDING, Pending, Standing
from doorward.errors import Code, Refusal

pytestmark = pytest.mark.api
GROUP = "doorward.dev/v1alpha1"
RBAC = "rbac.authorization.k8s.io/v1"
APPROVERS = ("bob", "carol", "dave")


def people(namespace: str) -> list[dict[str, Any]]:
    """Three who may approve, one of whom may also run tasks in the role."""
    answering = {"apiGroups": ["doorward.dev"], "resources": ["approvals"], "verbs": ["create"]}
    approving = {"apiGroups": ["doorward.dev"], "resources": ["agentroles"], "verbs": ["approve"]}
    using = {"apiGroups": ["doorward.dev"], "resources": ["agentroles"], "verbs": ["use"]}
    return [
        *_granted(namespace, "approvers", [answering, approving], ["approvers"], "Group"),
        *_granted(namespace, "users", [using], ["dave"], "User"),
    ]


def _granted(
    namespace: str, name: str, rules: list[dict[str, Any]], subjects: list[str], kind: str
) -> list[dict[str, Any]]:
    metadata, group = {"name": name, "namespace": namespace}, "rbac.authorization.k8s.io"
    return [
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": kind, "name": item, "apiGroup": group} for item in subjects],
        },
    ]


def demanding(namespace: str, per_task: int = 9) -> dict[str, Any]:
    """The role of the place, whose comments take two people."""
    rule = {
        "name": "comment",
        "connector": "code",
        "actions": ["issue.comment"],
        "resources": {"repository": ["acme/*"]},
        "approval": {"quorum": 2},
        "limits": {"perTask": per_task},
    }
    spec = {"agent": {"images": ["registry.example/agents/*"]}, "rules": [rule]}
    metadata = {"name": "fixer", "namespace": namespace}
    return {"apiVersion": GROUP, "kind": "AgentRole", "metadata": metadata, "spec": spec}


def answer(place: Any, grant: str, user: str, decision: str = "Approve") -> None:
    """One person's Approval, made in their own name as the API server sees it.

    User and groups are written as admission would: it does not run here.
    """
    seen = place.kubectl.get("grant", grant, "-n", place.namespace)
    spec = {
        "grant": grant,
        "digest": seen["spec"]["digest"],
        "decision": decision,
        "user": user,
        "groups": ["approvers", "system:authenticated"],
    }
    metadata = {"name": f"{grant}-{user}", "namespace": place.namespace}
    body = {"apiVersion": GROUP, "kind": "Approval", "metadata": metadata, "spec": spec}
    who = (f"--as={user}", "--as-group=approvers", "--as-group=system:authenticated")
    place.kubectl("create", "-f", "-", *who, stdin=json.dumps(body))


async def asked(door: Door, **args: Any) -> str:
    """Name of the Grant that a decision was parked with."""

    async def attempt() -> str:
        try:
            await door.decide("code", "issue.comment", {**ARGS, **args})
        except Pending as pending:
            return pending.standing.grant
        pytest.fail("nobody was asked")

    found: str = await once_ready(attempt)
    return found


async def until_condition(place: Any, kind: str, name: str, condition: str, reason: str) -> dict[str, Any]:
    """The object once this condition has this reason."""
    async with asyncio.timeout(120):
        while True:
            found: dict[str, Any] = await asyncio.to_thread(
                place.kubectl.get, kind, name, "-n", place.namespace
            )
            conditions = found.get("status", {}).get("conditions", ())
            if any((item["type"], item["reason"]) == (condition, reason) for item in conditions):
                return found


async def until_told(place: Any, name: str, reason: str) -> None:
    """Wait for an Event about an object: a broker that ends takes those that wait with it."""
    async with asyncio.timeout(120):
        while True:
            found = await asyncio.to_thread(place.kubectl.get, "events.events.k8s.io", "-n", place.namespace)
            if (name, reason) in {(item["regarding"]["name"], item["reason"]) for item in found["items"]}:
                return


async def answered(door: Door, name: str) -> Standing:
    """How a Grant stands once people have answered, however long they take."""
    while (found := await once_ready(lambda: door.grant(name, 30))).state == PENDING:
        pass
    standing: Standing = found
    return standing


async def once_asked_anew(door: Door) -> str:
    """Name of the Grant, once the news that the last one is gone have come."""
    async with asyncio.timeout(120):
        while True:
            try:
                await door.decide("code", "issue.comment", {**ARGS, "number": 8})
            except Pending as pending:
                return pending.standing.grant
            except Refusal as refusal:
                # until the news come
                assert refusal.code in {Code.GRANT_STALE, Code.RATE_LIMITED, Code.UNAVAILABLE}  # noqa: PT017
            await asyncio.sleep(0.05)


@pytest.fixture
def demanded(place: Any, kubectl: Kubectl) -> Any:
    """The place, with a role that demands people, and with people."""
    kubectl.apply(demanding(place.namespace), *people(place.namespace))
    return place


async def test_from_a_question_to_its_use(
    running: Any, demanded: Any, settings: Settings, authority: Authority, kubectl: Kubectl
) -> None:
    """The broker asks, ends, comes back, counts two people it has asked RBAC about, and the Grant is used."""
    token = demanded.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        await prove(door)
        name = await asked(door)
        key, session = door._key, door._session
        await until_told(demanded, name, "GrantRequested")
    answer(demanded, name, "bob")
    async with running() as make:
        door = make(key)
        door._session = session
        await prove(door)
        waiting = asyncio.ensure_future(answered(door, name))
        answer(demanded, name, "dave")
        refused = await until_condition(demanded, "approval", f"{name}-dave", "Accepted", "Reserved")
        answer(demanded, name, "carol")
        standing = await waiting
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        status, _ = await redeemed(authority, settings, hands_token(kubectl), decision.capability)
        again = await code_of(lambda: door.decide("code", "issue.comment", ARGS))
        grant = await until_condition(demanded, "grant", name, "Ready", "LimitExceeded")
        counted = await until_condition(demanded, "approval", f"{name}-bob", "Accepted", "Counted")
    events = kubectl.get("events.events.k8s.io", "-n", demanded.namespace)["items"]

    assert (standing.state, status, again) == ("active", 200, Code.LIMIT_EXCEEDED)
    assert (grant["status"]["phase"], grant["status"]["uses"], grant["status"]["approvals"]) == (
        "Exhausted",
        1,
        2,
    )
    assert grant["metadata"]["ownerReferences"][0]["name"] == "fix"
    assert [item["status"]["conditions"][0]["status"] for item in (refused, counted)] == ["False", "True"]
    assert {item["reason"] for item in events if item["regarding"]["name"] == name} >= {
        "GrantRequested",
        "GrantActivated",
        "GrantExhausted",
    }


async def test_no_silence_and_drift(running: Any, demanded: Any, kubectl: Kubectl) -> None:
    """One no is enough; a changed role makes a question stale for good; deleting the Grant asks anew."""
    token = demanded.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        await prove(door)
        name, other = await asked(door), await asked(door, number=8)
        answer(demanded, name, "bob", "Deny")
        await until_condition(demanded, "grant", name, "Ready", "ApprovalDenied")
        denied = await code_of(lambda: door.decide("code", "issue.comment", ARGS))
        kubectl.apply(demanding(demanded.namespace, per_task=8))
        await until_condition(demanded, "grant", other, "Ready", "GrantStale")
        kubectl.apply(demanding(demanded.namespace))
        replayed = await code_of(lambda: door.decide("code", "issue.comment", {**ARGS, "number": 8}))
        kubectl("delete", "grant", other, "-n", demanded.namespace)
        anew = await once_asked_anew(door)

    assert (denied, replayed, anew) == (Code.APPROVAL_DENIED, Code.GRANT_STALE, other)
