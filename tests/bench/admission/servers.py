"""`python servers.py full|bare FOLDER TASKS [CORE]`: serve over TLS on one core until standard input ends.

`full` is the product's own server over its own caches; `bare` reads the same JSON and writes a yes,
which is what any webhook in this language costs before it has looked at anything. Prints its port.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from admissionworld import OPERATOR
from aiohttp import web
from questions import connectors, role, settings, tasks
from untilended import until_ended

from doorward.kube import Change, ChangeType
from doorward.serving import listening, tls_context
from doorward.telemetry import log, metrics
from doorward_webhooks.admission.caches import Caches
from doorward_webhooks.admission.known import Surroundings
from doorward_webhooks.admission.metrics import Metrics
from doorward_webhooks.admission.server import Admission


async def nobody(*_: Any) -> bool:
    """No verb is held by anybody; nothing that is measured asks."""
    return False


def caches(count: int) -> Caches:
    """The product's caches, told of everything once, with watches that are never opened."""
    found = Caches(None)  # type: ignore[arg-type]
    told = {"agenttasks": tasks(count), "agentroles": [role()], "connectors": connectors()}
    for informer in found.informers:
        for document in told.get(informer._resource.plural, []):
            informer._on_event(Change(ChangeType.PRESENT, document))
    return found


@asynccontextmanager
async def full(folder: Path, count: int) -> AsyncIterator[int]:
    """The product."""
    known = caches(count)
    rendering = settings((folder / "ca.crt").read_text())
    around = Surroundings(OPERATOR, known, (rendering,))
    admission = Admission(lambda: around, nobody, Metrics(metrics.registry("admission")))
    certificates = tls_context(folder / "admission.crt", folder / "admission.key")
    async with listening(admission.app(), "127.0.0.1", 0, certificates.context) as bound:
        yield bound.port


@asynccontextmanager
async def bare(folder: Path, _count: int) -> AsyncIterator[int]:
    """The cheapest webhook: decode, encode, yes."""

    async def handle(request: web.BaseRequest) -> web.Response:
        review = json.loads(await request.read())
        response = {"uid": review["request"]["uid"], "allowed": True}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        return web.Response(body=json.dumps(answer).encode(), content_type="application/json")

    certificates = tls_context(folder / "admission.crt", folder / "admission.key")
    server = web.Server(handle, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=certificates.context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.shutdown(1.0)


async def main(which: str, folder: str, count: str, core: str = "") -> None:
    """Serve until standard input ends."""
    log.configure("admission", level="warning")
    if core:
        os.sched_setaffinity(0, {int(core)})
    async with {"full": full, "bare": bare}[which](Path(folder), int(count)) as port:
        await until_ended(port)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
