"""A broker in a process of its own: `servers.py SETTINGS`, a pickle that the benchmark wrote."""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

from doorward.broker.places import Places
from doorward.broker.process import serve
from doorward.kube import connect
from doorward.telemetry import log


async def main(folder: Path) -> None:
    """Serve until standard input ends."""
    settings, kubeconfig = pickle.loads(folder.joinpath("settings").read_bytes())  # noqa: S301 - our own

    async def resolve(_: str, __: int) -> str:
        return "127.0.0.1"

    log.configure("broker", settings.log_level)
    stop = asyncio.Event()
    async with connect(kubeconfig) as client:
        serving = asyncio.ensure_future(serve(settings, stop, client, Places(resolve)))
        await asyncio.to_thread(sys.stdin.buffer.read)
        stop.set()
        await serving


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
