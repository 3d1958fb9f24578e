"""`kubectl doorward status`: how tasks are, and what the one that waits is waiting for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from doorward.cli.place import Place, Refused, enrolled
from doorward.kube import Object
from doorward.kube.resources import AGENT_TASKS, name_of

_HEAD = ("TASK", "ROLE", "PHASE", "POD", "WAITS FOR")


async def status(place: Place, task: str | None) -> None:
    """Show all tasks of the namespace, or the conditions of one. Raises `Refused`, `ApiError`."""
    if task is not None:
        found = await place.client.find(AGENT_TASKS, task, place.namespace)
        if found is None:
            raise Refused(f"there is no AgentTask {task} in {place.namespace}")
        place.say(one(found))
        return
    document = await place.document()
    if document is None:
        raise Refused(f"there is no namespace {place.namespace}")
    place.say(f"namespace {place.namespace} is {'' if enrolled(document) else 'not '}enrolled")
    tasks = await place.listed(AGENT_TASKS)
    if tasks:
        place.say(table([_HEAD, *(row(found) for found in tasks)]))


def row(task: Object) -> tuple[str, ...]:
    """One line about a task; the last column is the first condition that does not hold."""
    state = task.get("status", {})
    first = next((item for item in conditions(task) if item.get("status") != "True"), {})
    waits = "" if "finishedAt" in state else first.get("reason", "")
    return (name_of(task), task["spec"]["role"], state.get("phase", ""), state.get("podName", ""), waits)


def one(task: Object) -> str:
    """A task with each of its conditions and what it says."""
    state = task.get("status", {})
    head = [f"{name_of(task)}: {state.get('phase', 'not looked at yet')}"]
    if "podName" in state:
        head.append(f"pod {state['podName']}")
    lines = [
        (item["type"], item["status"], item["reason"], item.get("message", "")) for item in conditions(task)
    ]
    return "\n".join([", ".join(head), *([table(lines)] if lines else [])])


def conditions(task: Object) -> Iterable[Mapping[str, Any]]:
    """The conditions of a task in the order in which they come true."""
    found: Sequence[Mapping[str, Any]] = task.get("status", {}).get("conditions", ())
    return found


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns under each other."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("   ".join(row).rstrip() for row in padded)
