"""Over HTTP: a yes for the rendered pod, a no with a sentence for everything else, whatever breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from admissionworld import task_document

from doorward.serving import listening
from doorward.telemetry import metrics
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.metrics import Metrics
from doorward_webhooks.admission.server import Admission


async def nobody(*_: Any) -> bool:
    return False


class Webhook:
    """A running webhook and a client of it."""

    def __init__(self, url: str, client: aiohttp.ClientSession, admission: Admission) -> None:
        self.url, self.client, self.admission = url, client, admission

    async def ask(self, document: Any, path: str = "validate-pods") -> dict[str, Any]:
        """The response to a review."""
        async with self.client.post(f"{self.url}/v1/{path}?timeout=3s", json=document) as answer:
            assert answer.status == 200
            found: dict[str, Any] = (await answer.json())["response"]
            return found


Serve = Callable[[Callable[[], Surroundings]], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves surroundings over plain HTTP on the loopback address."""
    async with aiohttp.ClientSession() as client:
        stop = asyncio.Event()
        running: list[asyncio.Task[None]] = []

        async def start(surroundings: Callable[[], Surroundings]) -> Webhook:
            admission = Admission(surroundings, nobody, Metrics(metrics.registry("admission")), (0.0,))
            bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            async def run() -> None:
                async with listening(admission.app(), "127.0.0.1", 0) as listener:
                    bound.set_result(listener.port)
                    await stop.wait()

            running.append(asyncio.ensure_future(run()))
            return Webhook(f"http://127.0.0.1:{await bound}", client, admission)

        yield start
        stop.set()
        await client.close()
        await asyncio.gather(*running)


async def test_the_rendered_pod_is_allowed(
    serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """The answer carries the uid of the question."""
    webhook = await serve(lambda: around)

    expected = {"uid": envelope["request"]["uid"], "allowed": True}
    assert expected == await webhook.ask(envelope)


async def test_a_changed_pod_is_denied_with_the_place(
    serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """The message names what is wrong."""
    webhook = await serve(lambda: around)
    envelope["request"]["object"]["spec"]["hostPID"] = True
    answer = await webhook.ask(envelope)

    assert answer["allowed"] is False
    assert "/spec/hostPID" in answer["status"]["message"]


async def test_an_error_while_deciding_is_a_no(serve: Serve, envelope: dict[str, Any]) -> None:
    """Whatever breaks inside, nothing is admitted, and the answer is a sentence."""

    def broken() -> Surroundings:
        raise ZeroDivisionError

    answer = await (await serve(broken)).ask(envelope)

    assert answer["allowed"] is False
    assert answer["status"]["message"].startswith("Unavailable: admission failed while it decided")


@pytest.mark.parametrize("path", ["validate-pods", "validate-templates", "validate-kinds", "defaults"])
async def test_a_request_that_cannot_be_read_is_a_no(
    path: str, serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """A review with a uid always gets its answer."""
    envelope["request"]["userInfo"] = "alice"
    answer = await (await serve(lambda: around)).ask(envelope, path)

    assert (answer["allowed"], answer["status"]["code"]) == (False, 400)


async def test_a_body_without_a_uid_is_an_error(serve: Serve, around: Surroundings) -> None:
    """There is nothing to answer to, so the API server sees a failure and fails closed."""
    webhook = await serve(lambda: around)
    async with webhook.client.post(f"{webhook.url}/v1/validate-pods", json={}) as answer:
        assert answer.status == 400


async def test_a_pod_ahead_of_the_watches_is_waited_for(
    serve: Serve, around: Surroundings, objects: Any, envelope: dict[str, Any]
) -> None:
    """The operator posts a pod right after the task appears; the watch may be a moment behind."""
    task, asked = objects.tasks.pop("fix-7"), []

    def surroundings() -> Surroundings:
        asked.append(1)
        if len(asked) == 2:
            objects.tasks["fix-7"] = task
        return around

    assert (await (await serve(surroundings)).ask(envelope))["allowed"] is True


async def test_while_draining_every_connection_is_given_back(
    serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """An API server that keeps connections to an ending replica is told to open others."""
    webhook = await serve(lambda: around)
    webhook.admission.draining = True
    async with webhook.client.post(f"{webhook.url}/v1/validate-pods", json=envelope) as answer:
        assert (answer.status, answer.headers["Connection"]) == (200, "close")


async def test_objects_of_ours_are_judged(
    serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """The path for our own kinds answers too."""
    task = task_document(input={"key": "AKIAIOSFODNN7EXAMPLE"})
    envelope["request"].update(
        object=task, resource={"group": "doorward.dev", "version": "v1alpha1", "resource": "agenttasks"}
    )
    answer = await (await serve(lambda: around)).ask(envelope, "validate-kinds")

    assert answer["status"]["reason"] == "HoldsSecret"


async def test_the_body_of_a_pod_is_never_answered_back(
    serve: Serve, around: Surroundings, envelope: dict[str, Any]
) -> None:
    """A credential that is refused does not appear in the refusal, which ends up in logs."""
    secret = "ghp_" + "a" * 36
    envelope["request"]["object"]["spec"]["containers"][0]["args"] = [secret]
    answer = await (await serve(lambda: around)).ask(envelope)

    assert secret not in json.dumps(answer)
