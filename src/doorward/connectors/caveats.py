"""Caveats: what the connector checks again, mechanically, before it spends a capability.

The broker writes them, the connector obeys; one that it does not know refuses, because a limit that
nobody enforces is not a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from doorward.core.action import Action
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal

MAX_FACTS: Final = 6
"""Facts of one decision, by both readings of its role."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something upstream that the decision rested on."""

    action: str
    """The action that reads it."""
    args: JsonObject
    digest: str
    """Over what the broker took from the answer."""


Check = Callable[[Json, Action], bool]
"""Says whether the action keeps within the caveat's value."""


def _resource(value: Json, action: Action) -> bool:
    """`{attribute: [allowed, ...]}`: each named attribute has one of the listed values."""
    if not isinstance(value, Mapping):
        return False
    return all(
        isinstance(allowed, list) and action.resource.get(name) in allowed for name, allowed in value.items()
    )


def _facts(value: Json, _: Action) -> bool:
    """Only whether they can be read: the gate compares each of them right before it redeems."""
    return isinstance(value, list) and len(value) <= MAX_FACTS and None not in map(_fact, value)


CHECKS: Final[Mapping[str, Check]] = {"resource": _resource, "facts": _facts}


def facts_of(caveats: Mapping[str, Json]) -> list[Fact]:
    """The facts that must read as they did; `check` has passed."""
    value = caveats.get("facts", [])
    found = [_fact(item) for item in value] if isinstance(value, list) else []
    return [fact for fact in found if fact is not None]


def changed(fact: Fact, why: str) -> Refusal:
    """The no for a fact that does not hold any more."""
    return Refusal(
        Code.CAVEAT_FAILED,
        f"the decision rested on {fact.action}: {why}",
        ask="ask for a decision about how things are now",
    )


def _fact(item: Json) -> Fact | None:
    match item:
        case {"action": str(action), "args": dict(args), "digest": str(digest), **rest} if not rest:
            return Fact(action, args, digest)
    return None


def check(caveats: Mapping[str, Json], action: Action) -> None:
    """Hold the action to every caveat. Raises `Refusal(caveat_failed)` that names the first broken."""
    for name, value in caveats.items():
        holds = CHECKS.get(name)
        if holds is None:
            raise Refusal(
                Code.CAVEAT_FAILED,
                f"this connector cannot enforce the caveat {name!r}",
                allowed=f"caveats: {', '.join(CHECKS)}",
                ask="upgrade the connector to the broker's version",
            )
        if not holds(value, action):
            raise Refusal(Code.CAVEAT_FAILED, f"the action does not keep within the caveat {name!r}")
