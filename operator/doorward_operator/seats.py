"""How many tasks of a role are there at the same time, and whose turn it is when one has ended.

A task holds a seat from the moment its pod is about to be made until it has ended; a frozen one holds
it too, its pod is still there. The others wait in the order of their creation. A task that cannot be
accepted, or whose pod the API server refused, keeps nobody waiting.

The broker counts again when a session is opened: caches of a new leader may lag behind.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, takewhile
from typing import TypeAlias

from doorward.api.v1alpha1 import Ceilings, ConditionType, Phase
from doorward.kube import Object
from doorward.kube.resources import name_of, namespace_of, uid_of
from doorward_operator.reasons import Reason

Role: TypeAlias = tuple[str, str]
"""`(namespace, name)`."""
Place: TypeAlias = tuple[str, str, str, str]
"""When a task was made, its UID, its name, and who asked for it: sorted, this is the line."""


@dataclass
class _Line:
    seated: dict[str, str] = field(default_factory=dict)
    """UID of each task with a seat -> who asked for it."""
    waiting: list[Place] = field(default_factory=list)
    """In order."""


class Seats:
    """The tasks of all roles, seated and waiting. Fed with each change of a task."""

    def __init__(self) -> None:
        self._lines: dict[Role, _Line] = {}
        self._promised: set[str] = set()

    def note(self, before: Object | None, after: Object | None) -> bool:
        """Take in a change of a task; True when it may be somebody else's turn now."""
        left = before is not None and self._leave(before)
        if after is not None:
            return not self._enter(after) and left
        if before is not None:
            self._promised.discard(uid_of(before))
        return left

    def promise(self, task: Object) -> None:
        """Seat a task whose pod is about to be made."""
        self._leave(task)
        self._promised.add(uid_of(task))
        self._enter(task)

    def withdraw(self, task: Object) -> None:
        """Take the seat back: the pod was not made."""
        self._leave(task)
        self._promised.discard(uid_of(task))
        self._enter(task)

    def admits(self, task: Object, ceilings: Ceilings) -> bool:
        """Whether the task has a seat, or one is free for it by its turn."""
        line, place = self._line(task), _place(task)
        if place[1] in line.seated or not bounded(ceilings):
            return True
        earlier = takewhile(lambda other: other < place, line.waiting)
        return place in _turns(chain(earlier, (place,)), line, ceilings)

    def next(self, role: Role, ceilings: Ceilings) -> list[str]:
        """Names of the tasks whose turn it is."""
        line = self._lines.get(role, _Line())
        return [name for _, _, name, _ in _turns(line.waiting, line, ceilings)]

    def _enter(self, task: Object) -> bool:
        """True when the task has a seat, or is in the line."""
        line, place = self._line(task), _place(task)
        if _holds(task):
            self._promised.discard(place[1])
        if _holds(task) or (place[1] in self._promised and not _final(task)):
            line.seated[place[1]] = place[3]
            return True
        if not _waits(task):
            self._promised.discard(place[1])
            return False
        insort(line.waiting, place)
        return True

    def _leave(self, task: Object) -> bool:
        """True when there was anything to leave."""
        line, place = self._line(task), _place(task)
        if line.seated.pop(place[1], None) is not None:
            return True
        index = bisect_left(line.waiting, place)
        if line.waiting[index : index + 1] != [place]:
            return False
        del line.waiting[index]
        return True

    def _line(self, task: Object) -> _Line:
        role = str(task.get("spec", {}).get("role", ""))
        return self._lines.setdefault((namespace_of(task), role), _Line())


def bounded(ceilings: Ceilings) -> bool:
    """Whether tasks may have to wait at all."""
    return ceilings.tasks is not None or ceilings.per_requester.tasks is not None


def _turns(places: Iterable[Place], line: _Line, ceilings: Ceilings) -> Iterator[Place]:
    """The places in a line that have a seat free for them; whoever is at their own bound is passed over."""
    free = None if ceilings.tasks is None else ceilings.tasks - len(line.seated)
    own = ceilings.per_requester.tasks
    taken = Counter(line.seated.values()) if own is not None else Counter[str]()
    for place in places:
        if free is not None and free <= 0:
            return
        if own is not None and taken[place[3]] >= own:
            continue
        taken[place[3]] += 1
        free = None if free is None else free - 1
        yield place


def _place(task: Object) -> Place:
    requester = str(task.get("spec", {}).get("requestedBy", ""))
    return task["metadata"].get("creationTimestamp", ""), uid_of(task), name_of(task), requester


def _final(task: Object) -> bool:
    phase = task.get("status", {}).get("phase")
    return phase in {item.value for item in Phase if item.final}


def _holds(task: Object) -> bool:
    return not _final(task) and "podName" in task.get("status", {})


def _waits(task: Object) -> bool:
    """Whether others have to wait for it."""
    if _final(task) or "deletionTimestamp" in task["metadata"]:
        return False
    return not any(
        (item.get("type") == ConditionType.ACCEPTED and item.get("status") == "False")
        or item.get("reason") == Reason.POD_REFUSED
        for item in task.get("status", {}).get("conditions", ())
    )
