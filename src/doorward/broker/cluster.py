"""The live questions that the broker asks the API server, apart from what it follows anyway."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol, TypeVar

from doorward.errors import Code, Refusal
from doorward.kube import (
    Access,
    ApiError,
    Client,
    Identity,
    Object,
    Resource,
    resources,
    subject_access_review,
    token_review,
)

T = TypeVar("T")

AUDIENCE: Final = "doorward-broker"
"""Audience of a door's token and of its proofs."""
REDEMPTIONS: Final = "doorward-redemptions"
"""Audience of a connector's token."""


class Cluster(Protocol):
    """Each question raises `Refusal(unavailable)` when it was not answered."""

    async def review(self, token: str, audience: str) -> Identity:
        """Who holds the token. Raises `Refusal(session_invalid)`."""

    async def pod(self, namespace: str, name: str) -> Object | None:
        """The pod as it is now."""

    async def task(self, namespace: str, name: str) -> Object | None:
        """The AgentTask as it is now."""

    async def revocations(self, namespace: str) -> list[Object]:
        """The Revocations of a namespace as they are now."""

    async def grant(self, namespace: str, name: str) -> Object | None:
        """The Grant as it is now."""

    async def make_grant(self, body: Object) -> Object:
        """The Grant as it was made, or the one that has its name already."""

    async def allows(self, who: Identity, access: Access) -> bool:
        """Whether RBAC lets somebody do something."""

    async def make_task(self, namespace: str, task: Object) -> Object:
        """Make an AgentTask, or give the one of its name. Raises `Refusal` with what admission says."""


class Live:
    """The API server itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def review(self, token: str, audience: str) -> Identity:
        """See `Cluster`."""
        return await _answered(token_review(self._client, token, audience))

    async def pod(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        return await _answered(self._client.find(resources.PODS, name, namespace))

    async def task(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        return await _answered(self._client.find(resources.AGENT_TASKS, name, namespace))

    async def revocations(self, namespace: str) -> list[Object]:
        """See `Cluster`."""
        return await _answered(self._revocations(namespace))

    async def grant(self, namespace: str, name: str) -> Object | None:
        """See `Cluster`."""
        return await _answered(self._client.find(resources.GRANTS, name, namespace))

    async def make_grant(self, body: Object) -> Object:
        """See `Cluster`."""
        return await _answered(self._make(resources.GRANTS, body, body["metadata"]["namespace"]))

    async def allows(self, who: Identity, access: Access) -> bool:
        """See `Cluster`."""
        return await _answered(subject_access_review(self._client, who, access))

    async def make_task(self, namespace: str, task: Object) -> Object:
        """See `Cluster`."""
        try:
            return await self._make(resources.AGENT_TASKS, task, namespace)
        except ApiError as error:
            if error.transient:
                raise Refusal(
                    Code.UNAVAILABLE, f"the task was not made: {error.reason}", ask="try again"
                ) from error
            raise Refusal(
                Code.ARGUMENTS_INVALID, f"the task was refused: {error.message[:1024]}", ask="another task"
            ) from error

    async def _make(self, kind: Resource, body: Object, namespace: str) -> Object:
        """The object as it was made, or the one that has its name already. Raises `ApiError`."""
        try:
            return await self._client.create(kind, body, namespace)
        except ApiError as error:
            if not error.conflict:
                raise
        return await self._client.get(kind, body["metadata"]["name"], namespace)

    async def _revocations(self, namespace: str) -> list[Object]:
        pages = self._client.pages(resources.REVOCATIONS, namespace)
        return [_typed(item) async for page in pages for item in page.items]


def _typed(item: Object) -> Object:
    kind = resources.REVOCATIONS
    return {**item, "apiVersion": kind.api_version, "kind": kind.kind}


async def _answered(question: Awaitable[T]) -> T:
    try:
        return await question
    except ApiError as error:
        raise Refusal(
            Code.UNAVAILABLE, f"the API server did not answer: {error.reason}", ask="try again"
        ) from error
