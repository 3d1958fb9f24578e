"""What an agent says about its own request: a claim, by which nothing is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.core import plain
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

MAX_TEXT: Final = 1024
"""Characters of each sentence, as the Grant holds it."""
MAX_EVIDENCE: Final = 8
MEMBERS: Final = frozenset({"reason", "escalation"})
"""Members of a request for a decision that may be left out."""
_SHAPE: Final = "{what, stopped, evidence, decision}"


@dataclass(frozen=True, slots=True)
class Escalation:
    """Why the agent stopped and turns to people."""

    what: str
    stopped: str
    evidence: tuple[str, ...]
    decision: str

    def document(self) -> dict[str, Json]:
        """The member of a Grant's spec."""
        return {
            "what": self.what,
            "stopped": self.stopped,
            "evidence": list(self.evidence),
            "decision": self.decision,
        }


@dataclass(frozen=True, slots=True)
class Plea:
    """The agent's words beside a request, each safe to show: one line, nothing invisible, bounded."""

    reason: str | None = None
    escalation: Escalation | None = None


def parse(body: Mapping[str, Json]) -> Plea:
    """The plea of a request for a decision. Raises `Refusal(malformed)`."""
    reason, escalation = body.get("reason"), body.get("escalation")
    return Plea(
        None if reason is None else _sentence(reason, "reason"),
        None if escalation is None else _escalation(escalation),
    )


def _escalation(found: Json) -> Escalation:
    match found:
        case {"what": what, "stopped": stopped, "evidence": list(evidence), "decision": decision, **rest}:
            if not rest and len(evidence) <= MAX_EVIDENCE:
                return Escalation(
                    _sentence(what, "what"),
                    _sentence(stopped, "stopped"),
                    tuple(_sentence(item, "evidence") for item in evidence),
                    _sentence(decision, "decision"),
                )
    raise Refusal(
        Code.MALFORMED,
        f"an escalation is {_SHAPE}",
        allowed=f"{_SHAPE}, evidence a list of at most {MAX_EVIDENCE}",
    )


def _sentence(found: Json, name: str) -> str:
    if isinstance(found, str) and 0 < len(found) <= MAX_TEXT:
        return plain.escaped(found)[:MAX_TEXT]
    raise Refusal(
        Code.MALFORMED,
        f"{name} must be a text of 1 to {MAX_TEXT} characters",
        allowed=f"1 to {MAX_TEXT} characters",
    )
