"""Tokens, pods, tasks and Revocations of a real API server, and what they mean to the broker."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attempts import ARGS, code_of, hands_token, once_ready, prove, redeemed, until_code, until_refused
from authority import Authority
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from waiting import until

from devcluster.kubectl import Kubectl
from doorward.broker.settings import Settings
from doorward.door.broker import Broker as Door
from doorward.errors import Code, Refusal
from doorward.render import History

pytestmark = pytest.mark.api


async def until_told(attempt: Callable[[], Any], detail: str) -> None:
    """Wait until an attempt is refused with this sentence."""
    await until_refused(attempt, lambda refusal: detail in refusal.detail)


async def test_a_live_door_opens_decides_and_its_connector_redeems(
    running: Any, place: Any, settings: Settings, authority: Authority, kubectl: Kubectl
) -> None:
    """With real tokens, a pod that went through the API server's defaulting, and the chart's RBAC."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        session = await once_ready(lambda: door.open(token))
        await prove(door)
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "other", "namespace": "doorward-code"},
            }
        )
        other, _ = await redeemed(authority, settings, hands_token(kubectl, "other"), decision.capability)
        first = await redeemed(authority, settings, hands_token(kubectl), decision.capability)

    assert (session.task["name"], session.connectors["code"].audience) == ("fix", "connector:code")
    assert (other, first[0]) == (401, 200)


async def test_the_door_of_before_an_upgrade_opens_after_it(
    running: Any, place: Any, settings: Settings
) -> None:
    """The broker that comes up with other settings knows those of the pod from the history."""
    token = place.run_task()
    upgraded = dataclasses.replace(place.render, door_image="registry.example/doorward/door:next")
    settings.render_file.write_text(json.dumps(upgraded.document()))
    async with running() as make:
        door: Door = make()
        await until_told(lambda: door.open(token), "not what its task renders to")
        now = datetime.now(UTC)
        written = History().recorded(place.render, now).recorded(upgraded, now)
        settings.history_file.write_text(written.text())
        session = await once_ready(lambda: door.open(token))

    assert session.task["name"] == "fix"


async def test_a_token_for_another_audience_or_of_another_pod_opens_nothing(running: Any, place: Any) -> None:
    """The API server vouches for audience and pod; the broker asks for both."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        wrong = place.token(audience="doorward-redemptions")
        unbound = place.kubectl(
            "create",
            "token",
            "doorward-role-fixer",
            "-n",
            place.namespace,
            "--audience=doorward-broker",
        ).strip()

        assert await code_of(lambda: make().open(wrong)) == Code.SESSION_INVALID
        assert await code_of(lambda: make().open(unbound)) == Code.SESSION_INVALID


async def test_a_pod_that_was_changed_opens_nothing(running: Any, place: Any) -> None:
    """Even one label of the live pod that nobody rendered is enough."""
    token = place.run_task()
    place.kubectl(
        "label", "pod", place.pod()["metadata"]["name"], "-n", place.namespace, "doorward.dev/extra=1"
    )
    async with running() as make:
        door: Door = make()
        refusal = await differing(lambda: door.open(token))

    assert "/metadata/labels/doorward.dev~1extra" in refusal.detail
    assert refusal.code == Code.UNAVAILABLE


async def differing(attempt: Callable[[], Any]) -> Refusal:
    """The refusal that names a difference; what comes before it is the broker's start."""
    return await until_refused(attempt, lambda refusal: "renders to" in refusal.detail)


async def test_a_deleted_task_gets_nothing_at_once(running: Any, place: Any) -> None:
    """The session closes with the news, and the token of its pod opens nothing any more."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        place.kubectl("delete", "agenttask", "fix", "-n", place.namespace)

        await until_code(door.actions, Code.TASK_ENDED)
        assert await code_of(lambda: door.open(token)) == Code.TASK_ENDED


async def test_a_finished_pod_ends_the_session(running: Any, place: Any) -> None:
    """The agent is done: nothing is decided for it any more."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        place.kubectl(
            "patch",
            "pod",
            place.pod()["metadata"]["name"],
            "-n",
            place.namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            '{"status":{"phase":"Succeeded"}}',
        )

        await until_code(door.actions, Code.TASK_ENDED)


async def test_a_revocation_stops_decisions_and_redemptions(
    running: Any, place: Any, settings: Settings, authority: Authority, kubectl: Kubectl
) -> None:
    """Decisions stop with the news, and what was granted before cannot be spent any more."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        await prove(door)
        decision = await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        hands = hands_token(kubectl)
        place.revoke(tasks=["fix"])
        await until_code(lambda: door.decide("code", "issue.comment", ARGS), Code.REVOKED)
        status, body = await redeemed(authority, settings, hands, decision.capability)

    assert (status, body["code"]) == (403, "revoked")


async def test_a_namespace_that_shows_no_pods_does_not_stop_the_others(running: Any, place: Any) -> None:
    """Enrolled, but nobody has bound the broker there: everybody else is served."""
    labels = {"doorward.dev/enforced": "true"}
    metadata = {"name": f"{place.namespace}-closed", "labels": labels}
    place.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    token = place.run_task()
    async with running() as make:
        door: Door = make()

        assert (await once_ready(lambda: door.open(token))).id


async def test_what_holds_is_shown_to_people(running: Any, place: Any, kubectl: Kubectl) -> None:
    """A frozen task says so in its phase, and a Revocation says since when it holds."""
    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
        probe = {"name": "c", "host": "10.0.0.1", "port": 1, "protocol": "tcp", "blocked": False}
        assert await code_of(lambda: door._ask("POST", "/v1/fence", {"probes": [probe]})) == Code.TASK_FROZEN
        place.revoke(tasks=["other"])
        where = ("-n", place.namespace)
        async with asyncio.timeout(120):
            while True:
                task = await asyncio.to_thread(kubectl.get, "agenttask", "fix", *where)
                (revocation,) = (await asyncio.to_thread(kubectl.get, "revocations", *where))["items"]
                if task.get("status", {}).get("phase") and revocation.get("status", {}).get("latchedAt"):
                    break

    assert task["status"]["phase"] == "Frozen"


async def test_a_restart_keeps_sessions_and_a_lost_ledger_freezes_them(
    running: Any, place: Any, tmp_path: Path
) -> None:
    """The Lease remembers what the ledger was; without it, an agent that runs says that there was one."""
    token, key = place.run_task(), Ed25519PrivateKey.generate()
    async with running() as make:
        door: Door = make(key)
        session = await once_ready(lambda: door.open(token))
        await prove(door)
        await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        await anchored(place.kubectl)
    async with running() as make:
        door = make(key)
        door._session = session.id
        await once_ready(lambda: door.decide("code", "issue.comment", ARGS))
        again = await once_ready(lambda: door.open(token))
    async with running(ledger_url=f"sqlite:///{tmp_path / 'another.db'}") as make:
        door = make(key)
        await until_code(lambda: door.open(token), Code.TASK_FROZEN)
    lease = ("lease", "doorward-broker-heartbeat", "-n", "doorward-system")
    place.kubectl("annotate", *lease, "doorward.dev/ledger-")
    status = json.dumps({"status": {"startedAt": "2026-11-01T00:00:00Z"}})
    words = ("agenttask", "fix", "-n", place.namespace, "--subresource=status", "--type=merge")
    place.kubectl("patch", *words, "-p", status)
    async with running(ledger_url=f"sqlite:///{tmp_path / 'third.db'}") as make:
        door = make(key)
        await until_code(lambda: door.open(token), Code.TASK_FROZEN)
    place.kubectl("delete", "agenttask", "fix", "-n", place.namespace)  # or later tests find its ledger lost

    assert again.id == session.id


async def anchored(kubectl: Kubectl, seconds: float = 120.0) -> None:
    """Wait until the heartbeat has carried the ledger's head out of it."""
    async with asyncio.timeout(seconds):
        while True:
            lease = await asyncio.to_thread(
                kubectl.get, "lease", "doorward-broker-heartbeat", "-n", "doorward-system"
            )
            if lease["metadata"].get("annotations", {}).get("doorward.dev/ledger"):
                return


async def test_what_ended_while_the_broker_was_down_is_noticed(
    running: Any, place: Any, settings: Settings
) -> None:
    """A task deleted in between is ended in the ledger as soon as the caches are filled."""
    from doorward.ledger import Ledger  # noqa: PLC0415 - only to look

    token = place.run_task()
    async with running() as make:
        door: Door = make()
        await once_ready(lambda: door.open(token))
    place.kubectl("delete", "agenttask", "fix", "-n", place.namespace)
    async with running() as make:
        door._session, _ = door._session, make
        reader = Ledger(settings.ledger_url)
        try:
            await until(lambda: not reader.reader.tasks())
        finally:
            reader.close()


async def test_the_process_gets_ready_and_ends_well(
    settings: Settings, broker_kubeconfig: Path, tmp_path: Path
) -> None:
    """`python -m doorward.broker`: ready when caches, heartbeat and ledger are; SIGTERM ends it with 0."""
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(broker_kubeconfig),
        "DOORWARD_LISTEN": f"127.0.0.1:{settings.listen[1]}",
        "DOORWARD_CONNECTORS_LISTEN": f"127.0.0.1:{settings.connectors_listen[1]}",
        "DOORWARD_OPS_LISTEN": f"127.0.0.1:{settings.ops_listen[1]}",
        "DOORWARD_TLS_CERTIFICATE": str(settings.tls_certificate),
        "DOORWARD_TLS_KEY": str(settings.tls_key),
        "DOORWARD_RENDER_FILE": str(settings.render_file),
        "DOORWARD_CA_FILE": str(settings.ca_file),
        "DOORWARD_BROKER_IP": "10.96.0.10",
        "DOORWARD_LEDGER_URL": settings.ledger_url,
        "DOORWARD_KEYS": str(settings.keys),
        "DOORWARD_CANARIES": "",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "doorward.broker", env=environment, stdout=asyncio.subprocess.PIPE
    )
    url = f"http://127.0.0.1:{settings.ops_listen[1]}"
    try:
        async with aiohttp.ClientSession() as http:
            await get_ready(http, url)
            async with http.get(f"{url}/metrics") as response:
                metrics = await response.text()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()

    assert "doorward_ledger_commit_duration_seconds_count" in metrics
    assert "doorward_broker_heartbeat_age_seconds" in metrics


async def get_ready(http: aiohttp.ClientSession, url: str, seconds: float = 120.0) -> None:
    """Return once `/readyz` says ok."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0)
