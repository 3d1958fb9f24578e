"""What the broker tells people through the status of objects and by Events. Nobody reads authority from it.

Best effort: what cannot be written is logged and tried a few times; decisions do not depend on it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from doorward.api.v1alpha1 import Approval, ApprovalStatus, Grant, GrantStatus, Phase
from doorward.broker.facts import Facts, Latch
from doorward.broker.grading import Standing
from doorward.broker.showing import WORDS, approval_status, grant_status, stamp, thaw_condition
from doorward.core.clock import Clock, system
from doorward.core.grade import Grade
from doorward.kube import ApiError, Client, EventsRecorder, Object, Resource, resources
from doorward.ledger import GrantRow, Thawed, ThawRequest
from doorward.telemetry import log

_LOG: Final = log.get(__name__)
_ATTEMPTS: Final = 5
_AGAIN_SECONDS: Final = 1.0
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Notice:
    """One status to write."""

    resource: Resource
    namespace: str
    name: str
    status: dict[str, Any]
    uid: str | None = None
    """Of the object, where another one may have taken its name meanwhile."""
    phase: Phase | None = None
    """What to show of a task, unless that is over: the operator tells of its end."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One Event to write."""

    regarding: Object
    reason: str
    note: str
    warning: bool
    action: str = "Approval"


class Notices:
    """Writes statuses one after the other, off everybody's path."""

    def __init__(self, client: Client, facts: Facts, clock: Clock = system) -> None:
        self._client = client
        self._facts = facts
        self._clock = clock
        self._todo: asyncio.Queue[Notice | Incident] = asyncio.Queue()
        self._events = EventsRecorder(client, "doorward.dev/broker", "doorward-broker")
        self._written_last: OrderedDict[str, tuple[str, GrantStatus | ApprovalStatus]] = OrderedDict()
        """UID -> the resource version that the last status was written over, and that status."""

    def graded(self, task_uid: str, standing: Standing, phase: Phase | None = None) -> None:
        """Say how a task is treated and why, in its status and in an Event."""
        task = self._facts.tasks.get(task_uid)
        if task is None:
            return
        where, frozen, kind = task.metadata, standing.grade is Grade.FROZEN, resources.AGENT_TASKS
        cause = standing.cause.reason if standing.cause else None
        told = {
            "grade": standing.grade.word,
            "cause": cause,
            "story": standing.story or None,
            "since": stamp(self._clock()),
        }
        shown = Phase.FROZEN if frozen else phase
        metadata = {"name": where.name, "namespace": where.namespace, "uid": where.uid}
        regarding = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        note = _NOTES[standing.grade].format(story=standing.story)
        word, warns = cause or standing.grade.word, standing.grade is not Grade.CALM
        self._todo.put_nowait(Incident(regarding, word, note, warns, "Freeze" if frozen else "Grade"))
        self._todo.put_nowait(Notice(kind, where.namespace, where.name, {"conduct": told}, where.uid, shown))

    def latched(self, latch: Latch) -> None:
        """Say that a Revocation holds."""
        status = {"latchedAt": stamp(self._clock())}
        self._todo.put_nowait(Notice(resources.REVOCATIONS, latch.namespace, latch.name, status))

    def lifted(self, asked: ThawRequest, thawed: Thawed) -> None:
        """Say what became of a Thaw."""
        status = {"conditions": [thaw_condition(thawed, self._clock())]}
        self._todo.put_nowait(Notice(resources.THAWS, asked.namespace, asked.name, status, asked.uid))

    def grant(self, grant: Grant, row: GrantRow, answers: list[Approval]) -> None:
        """Say how a Grant stands, and which answers count."""
        self._change(resources.GRANTS, grant, grant_status(grant, row))
        for found in answers:
            status = approval_status(found, row)
            if status is not None:
                self._change(resources.APPROVALS, found, status)

    def turned(self, row: GrantRow) -> None:
        """Tell that a Grant came into another state."""
        word, kind = WORDS[row.state], resources.GRANTS
        metadata = {"name": row.name, "namespace": row.namespace, "uid": row.uid or ""}
        regarding = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        note = f"{row.action} by task {row.task}: {row.reason + '; ' if row.reason else ''}{word.message}"
        self._todo.put_nowait(Incident(regarding, word.event, note, word.warning))

    def _change(
        self, resource: Resource, found: Grant | Approval, status: GrantStatus | ApprovalStatus
    ) -> None:
        """Write a status, unless it is there or just being written."""
        metadata = found.metadata
        mark = (metadata.resource_version, status)
        if status == found.status or self._written_last.get(metadata.uid) == mark:
            return
        self._written_last[metadata.uid] = mark
        if len(self._written_last) > _REMEMBERED:
            self._written_last.popitem(last=False)
        content = status.model_dump(mode="json", by_alias=True)
        self._todo.put_nowait(Notice(resource, metadata.namespace, metadata.name, content, metadata.uid))

    async def run(self) -> None:
        """Write for ever."""
        while True:
            notice = await self._todo.get()
            if isinstance(notice, Incident):
                await self._record(notice)
                continue
            for _ in range(_ATTEMPTS):
                if await self._written(notice):
                    break
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _record(self, incident: Incident) -> None:
        await self._events.record(
            incident.regarding,
            reason=incident.reason,
            action=incident.action,
            note=incident.note,
            type_="Warning" if incident.warning else "Normal",
        )

    async def _written(self, notice: Notice) -> bool:
        """Whether there is nothing left to try."""
        try:
            body = await self._body(notice)
            await self._client.merge(
                notice.resource, notice.name, body, notice.namespace, subresource="status"
            )
        except ApiError as error:
            _LOG.warning("a status was not written", name=notice.name, error=str(error))
            return not (error.transient or (error.conflict and notice.phase is not None))
        return True

    async def _body(self, notice: Notice) -> Object:
        """The patch; with a phase it holds for the version alone that it was looked up in."""
        held = {} if notice.uid is None else {"uid": notice.uid}
        if notice.phase is None:
            return {"metadata": held, "status": notice.status}
        live = await self._client.get(notice.resource, notice.name, notice.namespace)
        held["resourceVersion"] = live["metadata"]["resourceVersion"]
        shown = {} if _is_over(live) else {"phase": notice.phase.value}
        return {"metadata": held, "status": {**notice.status, **shown}}


def _is_over(task: Object) -> bool:
    phase = (task.get("status") or {}).get("phase")
    return phase in set(Phase) and Phase(phase).final


_NOTES: Final = {
    Grade.CALM: "The task is treated like every other again. {story}",
    Grade.SLOW: "The task may make fewer calls for a while: {story}.",
    Grade.CAUTIOUS: "Whatever the task changes needs a person for a while: {story}.",
    Grade.FROZEN: "The task gets nothing until a Thaw names it: {story}.",
}
