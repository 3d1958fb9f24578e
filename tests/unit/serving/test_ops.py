"""The listener for the platform."""

from __future__ import annotations

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from doorward import serving


async def test_probes_say_what_is_missing_and_metrics_are_served() -> None:
    """`/livez` is about the loop alone; `/readyz` names what it waits for."""
    registry = CollectorRegistry()
    Counter("doorward_example", "An example.", registry=registry).inc()
    waiting = ["the cache of tasks"]
    async with (
        serving.ops_listener(registry, lambda: waiting, "127.0.0.1", 0) as found,
        aiohttp.ClientSession(f"http://127.0.0.1:{found.port}") as client,
    ):
        seen = {}
        for path in ("/livez", "/readyz", "/metrics"):
            async with client.get(path) as response:
                seen[path] = (response.status, await response.text())
        waiting.clear()
        async with client.get("/readyz") as response:
            ready = response.status

    assert seen["/livez"] == (200, "ok")
    assert seen["/readyz"] == (503, "the cache of tasks")
    assert "doorward_example_total 1.0" in seen["/metrics"][1]
    assert ready == 200
