"""Authority and leaf change while the API server asks fifty times a second, and nobody notices."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from admissionload import SETTLED, Load, asked
from apiclient import Api

from devcluster.kubectl import Kubectl
from devcluster.wait import until
from doorward.kube import Client, connect
from doorward.kube.resources import SECRETS
from doorward.serving import listening, tls_context
from doorward.telemetry import metrics
from doorward_webhooks.admission.caches import Caches
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.metrics import Metrics
from doorward_webhooks.admission.server import Admission
from doorward_webhooks.certificates import objects, x509
from doorward_webhooks.certificates.plan import Lifetimes, Target, plan

SYSTEM = "doorward-system"
HERE = Target(SYSTEM, "localhost")
"""The admission server, under a name at which an API server without Services finds it."""
OWN = (Target(SYSTEM, "doorward-broker"), HERE)
CONFIGURATIONS = ("validatingwebhookconfiguration", "mutatingwebhookconfiguration")
LIVES = Lifetimes()
ISSUED, NEXT, PROMOTED, FORGOTTEN = (timedelta(days=days) for days in (-4, -1.6, -0.5, 0))
"""When, from now, the days of a rotation come: with lives as shipped, and all that is served valid today."""


async def nobody(*_: Any) -> bool:
    return False


@asynccontextmanager
async def serving(client: Client, folder: Path) -> AsyncIterator[int]:
    """The admission server with the certificate of its Secret; every answer wants a new handshake."""
    certificates = tls_context(folder / "tls.crt", folder / "tls.key")
    around = Surroundings("operator", Caches(client), ())
    admission = Admission(lambda: around, nobody, Metrics(metrics.registry("admission")))
    admission.draining = True
    work = [asyncio.create_task(mounted(client, folder)), asyncio.create_task(certificates.watch(0.1))]
    await certificates.ready(0.05)
    async with listening(admission.app(), "127.0.0.1", 0, certificates.context) as listener:
        yield listener.port
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)


async def mounted(client: Client, folder: Path) -> None:
    """What a kubelet does with a Secret that is mounted."""
    while True:
        found = (await client.get(SECRETS, HERE.secret, SYSTEM)).get("data") or {}
        for name in ("tls.crt", "tls.key"):
            (folder / name).write_bytes(base64.b64decode(found.get(name, "")))
        await asyncio.sleep(0.2)


def route(kubectl: Kubectl, port: int) -> None:
    """Have the API server ask this process, under the name that its certificate has."""
    for kind in CONFIGURATIONS:
        for index, hook in enumerate(kubectl.get(kind, "doorward")["webhooks"]):
            place, path = f"/webhooks/{index}/clientConfig", hook["clientConfig"]["service"]["path"]
            patch = [
                {"op": "remove", "path": f"{place}/service"},
                {"op": "add", "path": f"{place}/url", "value": f"https://{HERE.service}:{port}{path}"},
            ]
            kubectl("patch", kind, "doorward", "--type=json", "-p", json.dumps(patch))


async def step(client: Client, now: datetime) -> str | None:
    """What a process does that is killed after its first write; None when nothing is due."""
    snapshot = await objects.read(client, SYSTEM, OWN)
    due = plan(snapshot.observed(), now, LIVES)
    if not due:
        return None
    await objects.write(client, snapshot, due[0], now, LIVES)
    return type(due[0]).__name__


async def advance(client: Client, now: datetime, pause: Callable[[], None] | None = None) -> list[str]:
    """Everything that is due at a time, each write by a process of its own; the kinds of the writes."""
    done: list[str] = []
    while (kind := await step(client, now)) is not None:
        done.append(kind)
        if pause is not None:
            await asyncio.to_thread(pause)
    return done


async def admitting(api: Api) -> None:
    """Wait until the API server has learned of it all."""

    def admitted() -> bool:
        if (answer := asked(api)) != "admitted":
            raise RuntimeError(answer)
        return True

    await asyncio.to_thread(until, admitted, "a task to be admitted")


def bundles(kubectl: Kubectl) -> list[str]:
    """Every bundle that a client may hold."""
    hooks = [hook for kind in CONFIGURATIONS for hook in kubectl.get(kind, "doorward")["webhooks"]]
    return [base64.b64decode(hook["clientConfig"]["caBundle"]).decode() for hook in hooks]


@pytest.fixture
async def client(cluster: Any) -> AsyncIterator[Client]:
    """An administrator: what the account of the certificates process may is another test's promise."""
    cluster.kubectl("create", "secret", "generic", HERE.secret, "-n", SYSTEM)
    async with connect(str(cluster.plane.kubeconfig)) as found:
        yield found
    cluster.kubectl("delete", "secret", HERE.secret, "-n", SYSTEM)


async def test_no_admission_fails_while_authority_and_leaf_change(
    cluster: Any, client: Client, tmp_path: Path
) -> None:
    """A whole rotation, its process killed after every single write: each question got its yes."""
    now = datetime.now(UTC)
    await advance(client, now - timedelta(days=245))
    await advance(client, now + ISSUED)
    (before,) = set(bundles(cluster.kubectl))
    api = Api(cluster.plane.kubeconfig, tmp_path)
    async with serving(client, tmp_path) as port:
        route(cluster.kubectl, port)
        await admitting(api)
        async with Load(cluster.plane.kubeconfig, tmp_path) as load:
            writes = [await advance(client, now + day, load.more) for day in (NEXT, PROMOTED, FORGOTTEN)]
    api.close()
    (after,) = set(bundles(cluster.kubectl))

    assert dict(load.answers) == {"admitted": load.answers.total()}
    assert load.answers.total() >= SETTLED * sum(len(kinds) for kinds in writes)
    assert [kinds[0] for kinds in writes] == ["MakeNext", "Promote", "ForgetPrevious"]
    assert "Issue" in writes[1]
    assert after not in before


async def test_a_bundle_that_forgets_too_early_is_noticed(
    cluster: Any, client: Client, tmp_path: Path
) -> None:
    """The same load sees it when the trusted authority is not the one that signed: the test can fail."""
    now = datetime.now(UTC)
    await advance(client, now)
    api = Api(cluster.plane.kubeconfig, tmp_path)
    async with serving(client, tmp_path) as port:
        route(cluster.kubectl, port)
        await admitting(api)
        snapshot = await objects.read(client, SYSTEM, OWN)
        foreign = x509.make_authority(now, LIVES.authority)
        for place in ("webhook", "defaults"):
            found = snapshot.places[place]
            objects.PLACES[place].write(found, foreign.certificate)
            await client.replace(objects.PLACES[place].resource, found)
        async with Load(cluster.plane.kubeconfig, tmp_path) as load:
            await asyncio.to_thread(load.more)
    api.close()

    assert any("certificate signed by unknown authority" in answer for answer in load.answers)
