"""The door runs in every task pod: what it does not need, it does not load."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "doorward.api",
    "doorward.kube",
    "doorward.ledger",
    "doorward.policy",
    "kubernetes",
    "lightkube",
    "prometheus_client",
    "pydantic",
    "sqlalchemy",
}


def test_the_door_loads_no_heavy_library() -> None:
    """Neither models nor Kubernetes clients, databases or metrics are in its process."""
    script = "import sys, doorward.door.__main__; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert HEAVY & set(found.stdout.split()) == set()


def test_the_canary_loads_next_to_nothing() -> None:
    """A listener of forty lines needs neither HTTP nor cryptography of ours."""
    script = "import sys, doorward.door.canary; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert {"aiohttp", "cryptography", "jwt", "structlog"} & set(found.stdout.split()) == set()


def test_a_connection_keeps_a_small_buffer() -> None:
    """The event loop still takes the size of its buffers from where we set it."""
    script = (
        "import asyncio, ssl\n"
        "from asyncio import sslproto\n"
        "from doorward.door.client import spare_memory\n"
        "async def main():\n"
        "    protocol = sslproto.SSLProtocol(asyncio.get_running_loop(), asyncio.Protocol(),\n"
        "        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None, server_hostname='a')\n"
        "    return len(protocol.get_buffer(-1))\n"
        "before = asyncio.run(main())\n"
        "spare_memory()\n"
        "print(before, asyncio.run(main()))\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.split() == ["262144", "32768"]
