"""One namespace of a cluster: what is in it, and changing it step by step while saying so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from doorward.cli import enrolment
from doorward.cli.enrolment import Obstacle
from doorward.kube import ApiError, Client, Object, Resource
from doorward.kube.resources import NAMESPACES, NETWORK_POLICIES, PODS, ROLE_BINDINGS, SECRETS, name_of
from doorward.render import is_enrolled

PLUGIN_POLICIES: Final = (
    Resource("cilium.io", "v2", "ciliumnetworkpolicies", "CiliumNetworkPolicy"),
    Resource("crd.projectcalico.org", "v1", "networkpolicies", "NetworkPolicy.crd.projectcalico.org"),
    Resource("crd.antrea.io", "v1beta1", "networkpolicies", "NetworkPolicy.crd.antrea.io"),
)
"""Kinds of network plugins that widen what a NetworkPolicy closes, where they are installed."""
_LISTS: Final = 3
"""How often a list that changed too much halfway is begun again."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """What was asked is not done, and why; lines for people."""

    def __init__(self, headline: str, *lines: str) -> None:
        super().__init__("\n".join([headline, *(f"  {line}" for line in lines)]))


@dataclass(frozen=True)
class Place:
    """A namespace, the client to change it with, and where to say what was done."""

    client: Client
    namespace: str
    system: str
    """Where Doorward is installed."""
    say: Callable[[str], None]
    dry_run: bool = False
    """Say what would be done, and write nothing."""

    async def document(self) -> Object | None:
        """The Namespace, or None."""
        return await self.client.find(NAMESPACES, self.namespace)

    async def obstacles(self, *, enrolled: bool) -> tuple[Obstacle, ...]:
        """What keeps it from being enrolled. Of Secrets only the names are asked for."""
        pods, secrets = await self.listed(PODS, bare=True), await self.listed(SECRETS, bare=True)
        policies = await self.listed(NETWORK_POLICIES, bare=True)
        found = [
            *enrolment.strangers(pods, enrolled=enrolled),
            *enrolment.held_secrets(secrets),
            *enrolment.foreign_policies(policies, NETWORK_POLICIES.kind),
        ]
        for resource in PLUGIN_POLICIES:
            if await self.client.serves(resource):
                found += enrolment.foreign_policies(await self.listed(resource, bare=True), resource.kind)
        return tuple(found)

    async def listed(self, resource: Resource, *, bare: bool = False) -> list[Object]:
        """All objects of a kind; with `bare` nothing but their metadata."""
        for attempt in range(1, _LISTS + 1):
            try:
                pages = self.client.pages(resource, self.namespace, bare=bare)
                return [found async for page in pages for found in page.items]
            except ApiError as error:
                if not error.gone or attempt == _LISTS:
                    raise
                await asyncio.sleep(0)
        raise AssertionError("the last attempt returns or raises")

    async def bind(self, component: str) -> None:
        """Put one RoleBinding in place."""
        wanted = enrolment.binding(component, self.namespace, self.system)
        shown = f"rolebinding/{name_of(wanted)}"
        live = await self.client.find(ROLE_BINDINGS, name_of(wanted), self.namespace)
        if live is not None and enrolment.is_bound(live, wanted):
            self.say(f"{shown} unchanged")
        elif live is None:
            if not self.dry_run:
                await self.client.create(ROLE_BINDINGS, wanted, self.namespace)
            self.say(f"{shown} created")
        elif live["roleRef"] != wanted["roleRef"]:
            remedy = f"kubectl -n {self.namespace} delete {shown}"
            raise Refused(f"{shown} binds another role, and the role of a binding never changes:", remedy)
        else:
            if not self.dry_run:
                await self.client.merge(
                    ROLE_BINDINGS, name_of(wanted), {"subjects": wanted["subjects"]}, self.namespace
                )
            self.say(f"{shown} configured")

    async def unbind(self, component: str) -> None:
        """Take one RoleBinding away; one that binds another role is none of ours."""
        wanted = enrolment.binding(component, self.namespace, self.system)
        live = await self.client.find(ROLE_BINDINGS, name_of(wanted), self.namespace)
        if live is not None and live["roleRef"] == wanted["roleRef"]:
            await self.delete(ROLE_BINDINGS, live)

    async def change(self, metadata: Object) -> None:
        """Merge labels and annotations into the Namespace; None takes one away."""
        if not self.dry_run:
            await self.client.merge(NAMESPACES, self.namespace, {"metadata": metadata})
        for field, changes in metadata.items():
            verb = "label" if field == "labels" else "annotation"
            for key, text in changes.items():
                done = f"{verb} {key} removed" if text is None else f"{verb} {key}={text}"
                self.say(f"namespace/{self.namespace} {done}")

    async def delete(self, resource: Resource, found: Object) -> None:
        """Delete this very object."""
        if not self.dry_run:
            uid = found["metadata"].get("uid")
            await self.client.delete(resource, name_of(found), self.namespace, uid=uid)
        self.say(f"{resource.kind.lower()}/{name_of(found)} deleted")


def labels_of(document: Object) -> dict[str, str]:
    """The labels of an object."""
    found: dict[str, str] = document["metadata"].get("labels", {})
    return found


def enrolled(document: Object | None) -> bool:
    """Whether the namespace is enrolled."""
    return document is not None and is_enrolled(labels_of(document))
