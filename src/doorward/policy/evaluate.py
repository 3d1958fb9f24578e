"""Conditions in CEL. Only a BOOL that is True permits; every error and every exhausted budget denies.

The library returns run-time errors as values whose text is truthy and raises when its iteration budget
is used up, so a verdict is never taken from `bool(...)`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

_MAP: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_BY_AGENT: Final = {
    "action": cel.Type.STRING,
    "args": _MAP,
    "resource": _MAP,
    "outcomes": cel.Type.List(_MAP),
}
_BY_OTHERS: Final = {"task": _MAP, "now": cel.Type.TIMESTAMP}
_ALL: Final = cel.NewEnv(variables={**_BY_AGENT, **_BY_OTHERS})
_AGENT_ONLY: Final = cel.NewEnv(variables=_BY_AGENT)

VARIABLES: Final = (*_BY_AGENT, *_BY_OTHERS)
"""What a condition may speak of."""


def holds(expression: str, variables: Mapping[str, Any]) -> bool:
    """Whether the condition is true. Never raises: what cannot be evaluated does not hold."""
    try:
        found = _compiled(expression).eval(data=dict(variables))
    except Exception:  # noqa: BLE001 - whatever went wrong, the condition has not been found true
        return False
    return found.type() == cel.Type.BOOL and found.value() is True


def moment(now: float) -> dt.datetime:
    """The variable `now`."""
    return dt.datetime.fromtimestamp(now, dt.UTC)


def fault(expression: str) -> str | None:
    """Why the expression cannot be a condition, or None. Type-checked, not run."""
    try:
        kind = _compiled(expression).return_type()
    except RuntimeError as error:
        return f"{_first_line(error)}; known: {', '.join(VARIABLES)}"
    if kind != cel.Type.BOOL:
        return f"yields {kind.name()}, and a condition yields BOOL: compare with something"
    return None


def rests_on_others(expression: str) -> bool:
    """Whether the condition looks at anything that the agent cannot make."""
    if fault(expression) is not None:
        return False
    try:
        _AGENT_ONLY.compile(expression)
    except RuntimeError:
        return True
    return False


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    return _ALL.compile(expression)


def _first_line(error: Exception) -> str:
    return str(error).removeprefix("INVALID_ARGUMENT: ERROR: ").splitlines()[0]
