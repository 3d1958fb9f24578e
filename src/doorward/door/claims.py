"""What an agent says besides its action: why it asks, what stopped it, how long it likes to wait.

All of it is a claim. It is shown to people as one, and decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDictProxy

from doorward.core.strictjson import JsonObject
from doorward.errors import Code, Refusal

REASON_HEADER: Final = "Doorward-Reason"
MAX_REASON: Final = 1024
"""Characters of a reason."""
LONGEST_WAIT: Final = 50
"""Seconds that an answer is held back at most; whoever likes to wait longer asks again."""

_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:;.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Escalation:
    """An action that the agent cannot go on without, and its account of why."""

    connector: str
    action: str
    args: JsonObject
    claim: JsonObject


def reason(headers: CIMultiDictProxy[str]) -> JsonObject:
    """The member of a decision that carries the agent's reason; empty without one.

    Raises `Refusal(malformed)` for one that is too long or that people could not read as it is.
    """
    text = headers.get(REASON_HEADER)
    if text is None:
        return {}
    if not 0 < len(text) <= MAX_REASON or not text.isprintable():
        raise Refusal(
            Code.MALFORMED,
            f"{REASON_HEADER} is empty, too long, or holds what cannot be seen",
            allowed=f"1 to {MAX_REASON} printable characters",
        )
    return {"reason": text}


def wait(headers: CIMultiDictProxy[str]) -> int:
    """Seconds of `Prefer: wait=` (RFC 7240); 0 without it, and for what cannot be read."""
    for line in headers.getall("Prefer", ()):
        for preference in line.split(","):
            if found := _WAIT.fullmatch(preference):
                return min(int(found[1]), LONGEST_WAIT)
    return 0


def escalation(document: JsonObject) -> Escalation:
    """The body of `POST /v1/escalations`. Raises `Refusal(malformed)`; the broker reads the claim itself."""
    match document:
        case {
            "connector": str(connector),
            "action": str(action),
            "args": {} as args,
            "escalation": {} as claim,
            **rest,
        } if not rest:
            return Escalation(connector, action, args, {"escalation": claim})
    raise Refusal(
        Code.MALFORMED,
        "connector and action are texts, args and escalation objects, and there is nothing else",
        allowed="{connector, action, args, escalation: {what, stopped, evidence, decision}}",
    )
