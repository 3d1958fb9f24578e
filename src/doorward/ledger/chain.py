"""Events form a chain: each holds the hash of the one before, so none can be changed or left out.

The hash is `core.digest` over the event's whole body, which includes `previous`. What a chain cannot
show is that its end was cut off; the head is told to others for that (see the broker's heartbeat).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import rfc8785

from doorward.core import canonical
from doorward.telemetry.events import Event

GENESIS: Final = "sha256:" + "0" * 64
"""What the first event calls its predecessor."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last event."""

    seq: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.seq} {self.hash}"


@dataclass(frozen=True, slots=True)
class Link:
    """An event as it is stored."""

    seq: int
    at: int
    """Milliseconds since the epoch."""
    event: str
    task_uid: str | None
    body: str
    hash: str


def link(head: Head, event: Event, at: float, task_uid: str | None, facts: Mapping[str, Any]) -> Link:
    """The event that follows `head`. Facts are JSON; absent ones (None) are left out."""
    seq, milliseconds = head.seq + 1, int(at * 1000)
    body = {name: value for name, value in facts.items() if value is not None}
    body |= {"seq": seq, "at": milliseconds, "event": event.value, "previous": head.hash}
    if task_uid is not None:
        body["task"] = task_uid
    written = canonical.dumps(body)
    return Link(
        seq=seq,
        at=milliseconds,
        event=event.value,
        task_uid=task_uid,
        body=written.decode(),
        hash=_hash(written),
    )


def first_break(links: Iterable[Link], head: Head | None = None) -> int | None:
    """Number of the first event that does not follow from the one before; None when all do."""
    current = head or Head()
    for found in links:
        if not _follows(current, found):
            return found.seq
        current = Head(found.seq, found.hash)
    return None


def _follows(head: Head, found: Link) -> bool:
    try:
        body = json.loads(found.body)
        written = canonical.dumps(body)
    except (ValueError, rfc8785.CanonicalizationError):
        return False
    expected = {
        "seq": head.seq + 1,
        "at": found.at,
        "event": found.event,
        "previous": head.hash,
        "task": found.task_uid,
    }
    return (
        found.seq == head.seq + 1
        and written.decode() == found.body
        and _hash(written) == found.hash
        and {name: body.get(name) for name in expected} == expected
    )


def _hash(written: bytes) -> str:
    return "sha256:" + hashlib.sha256(written).hexdigest()
