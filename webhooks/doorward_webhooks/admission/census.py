"""The census: pods of enrolled namespaces, judged again; admission never saw what was there before it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from doorward.kube import ApiError, Client, EventsRecorder, resources
from doorward.kube.resources import Object, name_of, uid_of
from doorward.render.names import ENFORCED, ROLE
from doorward.telemetry import log
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.known import Known
from doorward_webhooks.admission.pods import violations
from doorward_webhooks.admission.walk import POD, Violation

_LOG: Final = log.get(__name__)
REASON: Final = "HoldsSecret"
_AFTERWARDS: Final = ("/spec/nodeName", "/metadata/annotations/", "/metadata/labels/")
"""What schedulers and network plugins add to pods that run; none of it gives the pod anything."""
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Count:
    """What one census found."""

    found: Mapping[str, tuple[Violation, ...]]
    """`namespace/name` of each pod that holds or reaches a secret, with the places."""
    unseen: tuple[str, ...]
    """Enrolled namespaces that could not be looked into."""


def judge(pod: Mapping[str, Any], accepted: frozenset[str] = frozenset()) -> tuple[Violation, ...]:
    """Every violation of a pod that runs: the walk's and the fence's, but for what is added afterwards."""
    found = violations(pod, POD, accepted)
    return tuple(item for item in found if item.fingerprint or not item.pointer.startswith(_AFTERWARDS))


class Census:
    """Counts every so often, and when a namespace is enrolled; tells of each pod once."""

    def __init__(
        self, client: Client, known: Known, recorder: EventsRecorder, counted: Callable[[int, int], None]
    ) -> None:
        """`counted` is given the number of pods with a violation, and of namespaces that were not seen."""
        self._client = client
        self._known = known
        self._recorder = recorder
        self._counted = counted
        self._told: set[str] = set()

    async def run(self, every: float, woken: asyncio.Event) -> None:
        """Count for ever, every so many seconds and when woken. One that fails is told of and made again."""
        while True:
            woken.clear()  # before counting: what wakes meanwhile may not be seen by this census
            try:
                await self.count()
            except ApiError as error:
                _LOG.warning("the census failed", why=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), every)

    async def count(self) -> Count:
        """Judge every pod of every enrolled namespace. Raises `ApiError` when namespaces cannot be listed."""
        found: dict[str, tuple[Violation, ...]] = {}
        unseen: list[str] = []
        living: set[str] = set()
        selector = f"{ENFORCED}=true"
        async for page in self._client.pages(resources.NAMESPACES, labels=selector):
            for namespace in map(name_of, page.items):
                try:
                    await self._look(namespace, found, living)
                except ApiError as error:
                    unseen.append(namespace)
                    _LOG.warning("an enrolled namespace was not seen", namespace=namespace, why=str(error))
        self._told &= living
        self._counted(len(found), len(unseen))
        return Count(found, tuple(unseen))

    async def _look(self, namespace: str, found: dict[str, tuple[Violation, ...]], living: set[str]) -> None:
        async for page in self._client.pages(resources.PODS, namespace):
            for pod in page.items:
                living.add(uid_of(pod))
                role = self._known.role(namespace, pod["metadata"].get("labels", {}).get(ROLE, ""))
                accepted = literals.accepted(role.metadata.annotations) if role else frozenset()
                # A list leaves these out of its items.
                whole = {"apiVersion": resources.PODS.api_version, "kind": resources.PODS.kind, **pod}
                if places := judge(whole, accepted):
                    found[f"{namespace}/{name_of(pod)}"] = places
                    await self._tell(whole, places)

    async def _tell(self, pod: Object, places: tuple[Violation, ...]) -> None:
        if uid_of(pod) in self._told:
            return
        self._told.add(uid_of(pod))
        note = "\n".join(str(place) for place in places[:_SHOWN])
        if len(places) > _SHOWN:
            note += f"\nand {len(places) - _SHOWN} more"
        _LOG.warning("a pod holds or reaches a secret", pod=name_of(pod), places=len(places))
        await self._recorder.record(
            pod, reason=REASON, action="Census", note=note, type_="Warning", once=True
        )
