"""`kubectl doorward thaw`: let a frozen task live again."""

from __future__ import annotations

from doorward.cli.place import Place
from doorward.kube.resources import THAWS, name_of


async def thaw(place: Place, task: str, reason: str) -> None:
    """Make the Thaw; the broker says in its status what became of it. Raises `ApiError`."""
    body = {
        "apiVersion": THAWS.api_version,
        "kind": THAWS.kind,
        "metadata": {"generateName": f"{task[:200]}-", "namespace": place.namespace},
        "spec": {"task": task, "reason": reason},
    }
    made = await place.client.create(THAWS, body, place.namespace)
    place.say(f"thaw/{name_of(made)} created: `kubectl get thaw {name_of(made)}` shows what became of it")
