"""Looking at every pod of every enrolled namespace once, with the judgement that admission goes by.

The admission process counts the same way every few minutes and shows a number; this keeps what was
found, how much was looked at and what was not seen, for somebody who has to show it to others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from doorward.kube import ApiError, Client, Object, resources
from doorward.kube.resources import name_of, namespace_of, uid_of
from doorward.render.names import ENFORCED, ROLE
from doorward_webhooks.admission import literals
from doorward_webhooks.admission.census import judge
from doorward_webhooks.admission.walk import Violation

Accepted: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""`(namespace, role)` to the fingerprints of texts that the role declares not to be credentials."""


@dataclass(frozen=True, slots=True)
class Found:
    """One pod that holds or reaches a secret."""

    namespace: str
    pod: str
    uid: str
    places: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that one look has shown."""

    at: float
    """When it began, in seconds since the epoch."""
    namespaces: tuple[str, ...]
    """Enrolled namespaces that were looked into."""
    unseen: Mapping[str, str]
    """Enrolled namespaces that could not be looked into, and what the API server said."""
    pods: int
    """How many pods were judged."""
    found: tuple[Found, ...]

    @property
    def clean(self) -> bool:
        """Whether everything was seen and nothing found."""
        return not self.found and not self.unseen


async def survey(client: Client, now: float) -> Survey:
    """Look at all there is. Raises `ApiError` when namespaces or roles cannot be listed."""
    accepted = {
        (namespace_of(role), name_of(role)): literals.accepted(role["metadata"].get("annotations", {}))
        async for page in client.pages(resources.AGENT_ROLES)
        for role in page.items
    }
    seen: list[str] = []
    unseen: dict[str, str] = {}
    pods: list[Object] = []
    async for page in client.pages(resources.NAMESPACES, labels=f"{ENFORCED}=true"):
        for namespace in map(name_of, page.items):
            try:
                pods += await _pods(client, namespace)
                seen.append(namespace)
            except ApiError as error:
                unseen[namespace] = error.message
    found = tuple(item for pod in pods if (item := judged(pod, accepted)) is not None)
    return Survey(now, tuple(seen), unseen, len(pods), found)


def judged(pod: Object, accepted: Accepted) -> Found | None:
    """What is wrong with one pod; None where nothing is."""
    role = pod["metadata"].get("labels", {}).get(ROLE, "")
    places = judge(pod, accepted.get((namespace_of(pod), role), frozenset()))
    return Found(namespace_of(pod), name_of(pod), uid_of(pod), places) if places else None


def report(result: Survey) -> dict[str, Any]:
    """The survey as JSON: numbers first, then each pod with each place, its reason and its remedy."""
    return {
        "at": dt.datetime.fromtimestamp(result.at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "podsWithSecrets": len(result.found),
        "podsSeen": result.pods,
        "namespaces": list(result.namespaces),
        "namespacesUnseen": [{"namespace": name, "why": why} for name, why in result.unseen.items()],
        "findings": [
            {
                "namespace": item.namespace,
                "pod": item.pod,
                "uid": item.uid,
                "places": [_place(place) for place in item.places],
            }
            for item in result.found
        ],
    }


def _place(place: Violation) -> dict[str, str]:
    texts = {
        "pointer": place.pointer,
        "item": place.reason.item,
        "what": place.reason.what,
        "detail": place.detail,
        "remedy": place.reason.remedy,
    }
    return {key: text for key, text in texts.items() if text}


async def _pods(client: Client, namespace: str) -> list[Object]:
    """The pods of a namespace, each as a whole: a list leaves out what they are."""
    kind = {"apiVersion": resources.PODS.api_version, "kind": resources.PODS.kind}
    return [{**kind, **pod} async for page in client.pages(resources.PODS, namespace) for pod in page.items]
