"""What the broker tells people through the status of objects. Nobody reads authority from it.

Best effort: what cannot be written is logged and tried a few times; decisions do not depend on it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import Phase
from doorward.broker.facts import Facts, Latch
from doorward.core.clock import Clock, system
from doorward.kube import ApiError, Client, Resource, resources
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
_ATTEMPTS: Final = 5
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One status to write."""

    resource: Resource
    namespace: str
    name: str
    status: dict[str, Any]


class Notices:
    """Writes statuses one after the other, off everybody's path."""

    def __init__(self, client: Client, facts: Facts, clock: Clock = system) -> None:
        self._client = client
        self._facts = facts
        self._clock = clock
        self._todo: asyncio.Queue[Notice] = asyncio.Queue()

    def frozen(self, task_uid: str) -> None:
        """Say that a task is frozen."""
        task = self._facts.tasks.get(task_uid)
        if task is not None:
            where = task.metadata
            status = {"phase": Phase.FROZEN.value}
            self._todo.put_nowait(Notice(resources.AGENT_TASKS, where.namespace, where.name, status))

    def latched(self, latch: Latch) -> None:
        """Say that a Revocation holds."""
        now = dt.datetime.fromtimestamp(self._clock(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"latchedAt": now}
        self._todo.put_nowait(Notice(resources.REVOCATIONS, latch.namespace, latch.name, status))

    async def run(self) -> None:
        """Write for ever."""
        while True:
            notice = await self._todo.get()
            for _ in range(_ATTEMPTS):
                if await self._written(notice):
                    break
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _written(self, notice: Notice) -> bool:
        """Whether there is nothing left to try."""
        try:
            await self._client.merge(
                notice.resource,
                notice.name,
                {"status": notice.status},
                notice.namespace,
                subresource="status",
            )
        except ApiError as error:
            _LOG.warning("a status was not written", name=notice.name, error=str(error))
            return not error.transient
        return True
