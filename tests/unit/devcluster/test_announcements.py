"""How the enforcer learns of a pod before the API server knows its address."""

import asyncio
from typing import Any

from devcluster.netpol.announce import Announcements


def _pod(name: str, ip: str | None = None) -> dict[str, Any]:
    return {"metadata": {"namespace": "space", "name": name}, "status": {"podIP": ip} if ip else {}}


async def _announced(known: Announcements) -> asyncio.Task[None]:
    task = asyncio.create_task(known.announce(("space", "new"), "10.244.0.9"))
    await asyncio.sleep(0)
    return task


async def test_an_announced_address_completes_the_pod() -> None:
    """The rules are compiled with the announced address, and with the API server's once there is one."""
    known = Announcements(lambda: None)
    task = await _announced(known)

    assert [_pod("new", "10.244.0.9")] == list(known.complete([_pod("new")]))
    assert [_pod("new", "10.244.0.8")] == list(known.complete([_pod("new", "10.244.0.8")]))
    task.cancel()


async def test_the_plugin_waits_until_the_rules_know_its_pod() -> None:
    """An answer before that would let the pod start without its rules."""
    changes: list[str] = []
    known = Announcements(lambda: changes.append("changed"))
    task = await _announced(known)
    known.settle([_pod("another")])
    await asyncio.sleep(0)
    early = task.done()
    known.settle([_pod("new")])
    await task

    assert changes == ["changed"]
    assert not early


async def test_an_announced_address_is_forgotten_with_its_pod() -> None:
    """Addresses are used again: what was announced for one pod must not count for its successor."""
    known = Announcements(lambda: None)
    task = await _announced(known)
    known.settle([_pod("new")])
    await task
    known.settle([])

    assert [_pod("new")] == list(known.complete([_pod("new")]))
