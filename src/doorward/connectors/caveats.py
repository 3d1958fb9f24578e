"""Caveats: what the connector checks again, mechanically, before it spends a capability.

The broker writes them, the connector obeys; one that it does not know refuses, because a limit that
nobody enforces is not a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from doorward.core.action import Action
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal

Check = Callable[[Json, Action], bool]
"""Says whether the action keeps within the caveat's value."""


def _resource(value: Json, action: Action) -> bool:
    """`{attribute: [allowed, ...]}`: each named attribute has one of the listed values."""
    if not isinstance(value, Mapping):
        return False
    return all(
        isinstance(allowed, list) and action.resource.get(name) in allowed for name, allowed in value.items()
    )


CHECKS: Final[Mapping[str, Check]] = {"resource": _resource}


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
