"""`kubectl doorward revoke`: take something back, at once and for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from doorward.cli.place import Place
from doorward.kube.resources import REVOCATIONS, name_of

MEMBERS: Final = {"task": "tasks", "role": "roles", "grant": "grants", "namespace": "namespaces"}
"""What can be revoked -> member of the Revocation's spec."""


async def revoke(place: Place, kind: str, name: str, reason: str) -> None:
    """Make the Revocation; a namespace is revoked by one of its own. Raises `ApiError`."""
    place = replace(place, namespace=name) if kind == "namespace" else place
    body = {
        "apiVersion": REVOCATIONS.api_version,
        "kind": REVOCATIONS.kind,
        "metadata": {"generateName": f"{kind}-", "namespace": place.namespace},
        "spec": {MEMBERS[kind]: [name], "reason": reason},
    }
    made = await place.client.create(REVOCATIONS, body, place.namespace)
    where = "" if kind == "namespace" else f" in {place.namespace}"
    place.say(f"revocation/{name_of(made)} created: {kind} {name}{where} is taken back")
