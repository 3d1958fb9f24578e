"""The census finds what was there before admission was, and tells of it once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from doorward.api.v1alpha1 import AgentRole, AgentTask, Connector, Grant
from doorward.kube import EventsRecorder, connect
from doorward_webhooks.admission.census import Census, Count

LABEL = "doorward.dev/enforced"


class Nothing:
    """Knows of no object."""

    def task(self, namespace: str, name: str) -> AgentTask | None:
        """None."""

    def role(self, namespace: str, name: str) -> AgentRole | None:
        """None."""

    def grant(self, namespace: str, name: str) -> Grant | None:
        """None."""

    def connectors(self) -> Mapping[str, Connector]:
        """None."""
        return {}


@pytest.fixture
def before(world: Any) -> str:
    """A namespace with a pod that mounts a Secret, enrolled afterwards."""
    namespace = "before"
    world.kubectl("create", "namespace", namespace)
    world.kubectl("-n", namespace, "create", "serviceaccount", "default")
    volumes = [{"name": "s", "secret": {"secretName": "prod-db"}}]
    spec = {"containers": [{"name": "a", "image": "x"}], "volumes": volumes}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old", "namespace": namespace},
        "spec": spec,
    }
    world.kubectl.apply(pod)
    world.kubectl("label", "namespace", namespace, f"{LABEL}=true")
    return namespace


async def counts(kubeconfig: str, times: int) -> tuple[list[Count], list[tuple[int, int]]]:
    """Several censuses in a row, and what was told to the metrics."""
    told: list[tuple[int, int]] = []
    async with connect(kubeconfig) as client:
        recorder = EventsRecorder(client, "doorward.dev/admission", "test")
        census = Census(client, Nothing(), recorder, lambda *numbers: told.append(numbers))
        return [await census.count() for _ in range(times)], told


def test_a_pod_from_before_is_found_and_told_of_once(world: Any, before: str) -> None:
    """The metric does not read 0, and one Event names the place, however often and by whom it is counted."""
    found, told = asyncio.run(counts(str(world.kubeconfig), 2))
    asyncio.run(counts(str(world.kubeconfig), 1))  # another replica, or this one started again
    events = json.loads(world.kubectl("-n", before, "get", "events.events.k8s.io", "-o", "json"))["items"]

    assert [[name for name in count.found if name.startswith(before)] for count in found] == [
        ["before/old"]
    ] * 2
    assert "/spec/volumes/0/secret" in {item.pointer for item in found[0].found["before/old"]}
    assert told == [(len(count.found), 0) for count in found]
    assert [(event["reason"], event["regarding"]["name"]) for event in events] == [("HoldsSecret", "old")]
    assert "/spec/volumes/0/secret: a Secret as files" in events[0]["note"]


def test_task_pods_are_not_counted(world: Any, running: str) -> None:
    """A pod that the operator made holds nothing, also once it is stored and has a status."""
    found, _ = asyncio.run(counts(str(world.kubeconfig), 1))

    assert [name for name in found[0].found if name.startswith("agents/")] == []
