"""A task that was frozen lives again when a person says so, and not a moment before."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from attempts import ARGS, once_ready, prove

from devcluster.kubectl import Kubectl
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal

pytestmark = pytest.mark.api


async def thawed(kubectl: Kubectl, namespace: str, seconds: float = 180.0) -> list[str]:
    """Make Thaws until one of them counts; the reasons of all.

    The API server's times are whole seconds, so that one within the second of the freeze comes too early.
    """
    reasons: list[str] = []
    async with asyncio.timeout(seconds):
        while reasons[-1:] != ["Thawed"]:
            name = f"fix-{uuid.uuid4().hex[:8]}"
            spec = {"task": "fix", "reason": "looked at it", "user": "bob"}
            metadata = {"name": name, "namespace": namespace}
            body = {"apiVersion": "doorward.dev/v1alpha1", "kind": "Thaw", "metadata": metadata, "spec": spec}
            await asyncio.to_thread(kubectl.apply, body)
            while (
                not (found := await asyncio.to_thread(kubectl.get, "thaw", name, "-n", namespace))
                .get("status", {})
                .get("conditions")
            ):
                pass
            reasons.append(found["status"]["conditions"][0]["reason"])
    return reasons


async def test_a_thaw_lets_a_frozen_task_live_again(running: Any, place: Any, kubectl: Kubectl) -> None:
    """Told why in status and Event; with the same session, as soon as the broker has heard of the Thaw."""
    token, where = place.run_task(), ("-n", place.namespace)
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        await prove(door)
        probe = {"name": "c", "host": "10.0.0.1", "port": 1, "protocol": "tcp", "blocked": False}
        with pytest.raises(Refusal) as frozen:
            await door._ask("POST", "/v1/fence", {"probes": [probe]})
        with pytest.raises(Refusal) as still:
            await door.decide("code", "issue.comment", ARGS)
        reasons = await thawed(kubectl, place.namespace)
        await prove(door)
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        async with asyncio.timeout(60):
            while True:
                task = await asyncio.to_thread(kubectl.get, "agenttask", "fix", *where)
                if task["status"].get("conduct", {}).get("grade") == "Calm":
                    break
        events = await asyncio.to_thread(kubectl.get, "events.events.k8s.io", *where)

    assert (frozen.value.code, still.value.code) == (Code.TASK_FROZEN, Code.TASK_FROZEN)
    assert set(reasons[:-1]) <= {"FrozenLater", "NothingFrozen"}
    assert decision.capability
    assert task["status"]["phase"] == "Running"
    assert "FenceBreach" in {event["reason"] for event in events["items"]}
