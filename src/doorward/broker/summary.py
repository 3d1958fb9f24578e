"""The words that people decide by: written from what the broker decoded, never from what an agent says.

Every text of an argument is quoted, so that none can pass for a line of ours. What does not fit is cut
where it is longest, and the cut says how much is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from doorward.broker.pleas import Plea
from doorward.core import plain
from doorward.core.action import Action
from doorward.core.effect import Effect
from doorward.core.strictjson import Json

MAX_BYTES: Final = 8192
"""Bytes of a summary, whatever the arguments are."""
_CLAIM_BYTES: Final = 2048
"""Of those, what the agent's own words may take."""
_LINES: Final = 24
"""Arguments and attachments that are listed one by one."""


def of(action: Action, effect: Effect, plea: Plea) -> str:
    """The summary of an action, at most `MAX_BYTES` of UTF-8."""
    named = sorted(action.resource.items())
    resource = ", ".join(f"{name} {plain.quoted(str(value))}" for name, value in named)
    head = [
        f"action: {action.name} by connector {action.connector}",
        f"effect: {effect}",
        f"on: {plain.cut(resource, 1024) or 'nothing that has a name'}",
    ]
    claims = _fitted(list(_claims(plea)), _CLAIM_BYTES)
    room = MAX_BYTES - _size(head) - _size(claims) - 64
    return "\n".join([*head, *_fitted(list(_arguments(action)), room), *claims])


def _arguments(action: Action) -> Iterator[str]:
    lines = [
        *(f"argument {plain.escaped(name)}: {_shown(value)}" for name, value in sorted(action.args.items())),
        *(f"attachment {item.name}: {item.size} bytes, sha256 {item.sha256}" for item in action.attachments),
    ]
    yield from lines[:_LINES]
    if lines[_LINES:]:
        yield f"{len(lines) - _LINES} more: " + "; ".join(lines[_LINES:])


def _claims(plea: Plea) -> Iterator[str]:
    if plea.reason is not None:
        yield f"the agent claims, checked by nobody: {_claimed(plea.reason)}"
    if plea.escalation is not None:
        found = plea.escalation
        yield f"the agent claims it was trying to: {_claimed(found.what)}"
        yield f"the agent claims it stopped because: {_claimed(found.stopped)}"
        for item in found.evidence:
            yield f"the agent claims as evidence: {_claimed(item)}"
        yield f"the agent asks people to decide: {_claimed(found.decision)}"


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return plain.quoted(value)
    return plain.escaped(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _claimed(text: str) -> str:
    """Quoted; the text is escaped already (see `pleas`)."""
    return '"' + text.replace('"', '\\"') + '"'


def _fitted(lines: list[str], room: int) -> list[str]:
    """The lines within so many bytes, their ends included; the longest are cut first."""
    if _size(lines) <= room:
        return lines
    sizes = [len(line.encode()) for line in lines]
    spare = room - len(lines) * (plain.MARK_BYTES + 1)
    return [plain.cut(line, share) for line, share in zip(lines, plain.shares(sizes, spare), strict=True)]


def _size(lines: list[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
