"""The operator writes little, and nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from devcluster import wait
from testbed import install, tasks
from testbed.site import AGENTS, Site

pytestmark = pytest.mark.e2e

OPERATOR = "system:serviceaccount:doorward-system:doorward-operator"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def _writes_about(site: Site, task: str) -> list[dict[str, Any]]:
    """What the operator wrote that names the task, from the API server's audit log.

    What was refused is no write: where the webhook has not heard of the task yet, the pod is asked for again.
    """
    found = []
    for line in site.audit_log.read_text().splitlines():
        event = json.loads(line)
        taken = event.get("responseStatus", {}).get("code", 500) < 300
        by_operator = event["user"]["username"] == OPERATOR and event["verb"] in WRITES and taken
        reference = event.get("objectRef", {})
        if by_operator and reference.get("name", "").startswith(task) and reference["resource"] != "events":
            found.append(event)
    return found


def test_three_writes_from_task_to_pod(site: Site, start: Callable[..., str]) -> None:
    """Until its pod exists, a task costs at most three writes, by the API server's own count."""
    name = start("print('done')")
    tasks.finished(site, name)
    writes = _writes_about(site, name)
    kinds = [(w["verb"], w["objectRef"]["resource"], w["objectRef"].get("subresource")) for w in writes]
    upto = kinds.index(("create", "pods", None)) + 1

    assert upto <= 3, kinds
    assert kinds.count(("create", "pods", None)) == 1


def test_reconciling_again_writes_nothing(site: Site, sleeper: str) -> None:
    """A restarted operator looks at everything again and changes no resourceVersion."""
    pod = tasks.pod_of(site, sleeper)["metadata"]["name"]
    watched = [("agenttask", sleeper), ("pod", pod), ("networkpolicy", ""), ("serviceaccount", "")]

    def versions() -> list[Any]:
        documents = [site.kubectl.get(kind, *filter(None, [name]), "-n", AGENTS) for kind, name in watched]
        lists = [d.get("items", [d]) for d in documents]
        return [[i["metadata"]["resourceVersion"] for i in items] for items in lists]

    def at_rest() -> list[Any] | None:
        found = versions()
        return found if tasks.phase(site, sleeper) == "Running" and versions() == found else None

    before = wait.until(at_rest, "the running task to be told of", 120)
    install.restart(site, "deployment/doorward-operator")
    install.operator_settled(site)

    assert versions() == before
