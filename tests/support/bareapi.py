"""The few requests of an API server that a unit asks: one object read, and its status patched."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from doorward.kube import Client, Object
from doorward.kube.access import Access, Credentials


class BareApi:
    """Holds one object."""

    def __init__(self, found: Object) -> None:
        self.found = {**found, "metadata": {"resourceVersion": "1", **found["metadata"]}}
        self.before_patch: Callable[[], None] = lambda: None
        """Somebody else's turn, once, between a read and the patch that follows."""

    def put(self, **status: object) -> None:
        """Somebody writes members of the status."""
        metadata = self.found["metadata"]
        version = str(int(metadata["resourceVersion"]) + 1)
        status = {**self.found.get("status", {}), **status}
        self.found = {**self.found, "metadata": {**metadata, "resourceVersion": version}, "status": status}

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        if request.method == "POST":
            return web.json_response(await request.json(), status=201)
        if request.method == "PATCH":
            act, self.before_patch = self.before_patch, lambda: None
            act()
            body = await request.json()
            version = body.get("metadata", {}).get("resourceVersion")
            if version not in {None, self.found["metadata"]["resourceVersion"]}:
                return web.json_response({"reason": "Conflict", "message": "it has changed"}, status=409)
            self.put(**body["status"])
        return web.json_response(self.found)


@asynccontextmanager
async def serving(api: BareApi) -> AsyncIterator[Client]:
    """A client of an API server that has this object and nothing else."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, port = runner.addresses[0]
    plain = Access(f"http://127.0.0.1:{port}", ssl.create_default_context(), Credentials(None))
    try:
        async with Client(plain) as client:
            yield client
    finally:
        await runner.cleanup()
