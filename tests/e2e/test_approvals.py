"""A person's yes, from the agent's request to the forge: once, for exactly this, by somebody else."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devcluster import wait
from testbed import install, ledger, tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e

PROGRAM = Path(sys.executable).with_name("kubectl-doorward")
COMMENTS = "/repos/acme/web/issues/2/comments"
ROLE = "asks-people"


@pytest.fixture(scope="module")
def people(site: Site) -> None:
    """A role whose comments need a person, and two people who may approve for it; one wants the task."""
    rule = {
        "name": "comment",
        "connector": "code",
        "actions": ["issue.comment"],
        "resources": {"repository": ["acme/web"]},
        "limits": {"perTask": 2},
        "approval": {"quorum": 1, "expires": "10m"},
    }
    meta = {"name": ROLE, "namespace": AGENTS}
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": meta}
    group = {"apiGroups": ["doorward.dev"]}
    rules = [
        {**group, "resources": ["grants"], "verbs": ["get", "list"]},
        {**group, "resources": ["approvals"], "verbs": ["create"]},
        {**group, "resources": ["agentroles"], "resourceNames": [ROLE], "verbs": ["approve"]},
    ]
    site.kubectl.apply(
        {
            "apiVersion": "doorward.dev/v1alpha1",
            "kind": "AgentRole",
            "metadata": meta,
            "spec": {"agent": {"images": [install.agent_image(site)]}, "rules": [rule]},
        },
        {**rbac, "kind": "Role", "rules": rules},
        {
            **rbac,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
                for name in ("carol", "rita")
            ],
        },
    )


def doorward(site: Site, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One command of the plugin as somebody."""
    argv = [str(PROGRAM), *words, "-n", AGENTS, "--as", user]
    return subprocess.run(
        argv, env=site.environ(), input="yes\n", capture_output=True, text=True, check=False
    )


def waiting(site: Site, task: str) -> dict[str, Any] | None:
    """The Grants by summary, once both are pending and the agent, which asked too early, was told so."""
    found = [
        grant
        for grant in site.kubectl.get("grants", "-n", AGENTS)["items"]
        if grant["spec"]["task"]["name"] == task and grant.get("status", {}).get("phase") == "Pending"
    ]
    asked_early = "early" in tasks.said(site, task)
    return {grant["spec"]["summary"]: grant for grant in found} if asked_early and len(found) == 2 else None


def test_what_people_agreed_to_happens_once(site: Site, people: None, start: Callable[..., str]) -> None:
    """Asked for, summed up by the broker, refused to the requester, approved, run; the other one denied."""
    yes, no = (f"{word} {uuid.uuid4().hex[:8]}" for word in ("agreed", "refused"))
    name = start("asks_people.py", role=ROLE, requestedBy="rita", input={"bodies": [yes, no]})
    grants = wait.until(lambda: waiting(site, name), "both Grants wait", 240, every=0.3)
    agreed, refused = (
        next(grant["metadata"]["name"] for summary, grant in grants.items() if body in summary)
        for body in (yes, no)
    )
    own = doorward(site, "rita", "approve", agreed)
    assert "you asked for this task" in own.stderr

    denied = doorward(site, "carol", "deny", refused)
    approved = doorward(site, "carol", "approve", agreed, "--reason", "as discussed")
    assert (denied.returncode, approved.returncode) == (0, 0), approved.stderr + denied.stderr
    assert "the reporter waits" in approved.stdout
    task = tasks.finished(site, name)
    said = [json.loads(line) for line in tasks.said(site, name).splitlines()]
    capability = said[3]["capability"]

    assert said[:3] == [
        {"grant": agreed, "code": None},
        {"grant": refused, "code": None},
        {"early": "approval_pending"},
    ]
    assert said[3:] == [
        {"state": "active", "code": None, "capability": capability, "again": "limit_exceeded"},
        {"state": "denied", "code": "approval_denied", "capability": None, "again": "unknown_action"},
    ]
    bodies = [comment["body"] for comment in site.forge()("GET", COMMENTS)]
    assert (bodies.count(yes), bodies.count(no)) == (1, 0)
    _joined(ledger.settled(site, task["metadata"]["uid"]), capability)


def _joined(events: list[dict[str, Any]], capability: str) -> None:
    """The evidence leads from the effect to who agreed to it."""
    chain = [event for event in events if event.get("capability") == capability]
    names = [event["event"] for event in events]

    assert [event["event"] for event in chain] == [
        "action.permitted",
        "capability.redeemed",
        "outcome.reported",
    ]
    assert chain[0]["approvers"] == ["carol"]
    assert names.count("grant.requested") == 2
    assert [names.count(f"grant.{state}") for state in ("activated", "denied")] == [1, 1]
    assert names.count("approval.recorded") == 2
