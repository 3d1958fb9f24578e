"""Whether a live object is what was rendered, apart from the lines that the server adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class Missing(Enum):
    """Stands for a value that is not there; `null` is a value."""

    ABSENT = "absent"


ABSENT: Final = Missing.ABSENT

ADDED_AT_CREATION: Final = frozenset(
    {
        "/metadata/creationTimestamp",
        "/metadata/generation",
        "/metadata/managedFields",
        "/metadata/uid",
        "/status/phase",
        "/status/qosClass",
    }
)
"""What the API server has added to a pod by the time that admission sees it (1.34)."""

ADDED_LATER: Final = frozenset(
    {
        "/metadata/deletionGracePeriodSeconds",
        "/metadata/deletionTimestamp",
        "/metadata/resourceVersion",
        "/spec/nodeName",
        "/status",
    }
)
"""What storage, scheduler and kubelet add afterwards. Never ignored in a pod that is being created:
there a node name would be a way around the scheduler."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two documents differ."""

    pointer: str
    """JSON pointer (RFC 6901)."""
    live: Any
    rendered: Any

    def __str__(self) -> str:
        return f"{self.pointer}: {_shown(self.live)} instead of {_shown(self.rendered)}"


_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def differences(
    live: Mapping[str, Any], rendered: Mapping[str, Any], *, stored: bool = False
) -> tuple[Difference, ...]:
    """Every place where the live pod is not the rendered one; empty when they are equal.

    `stored` says that the pod comes out of the API server; without it the pod is about to go in,
    and fewer lines are passed over. An unknown member is a difference like any other.
    """
    ignored = ADDED_AT_CREATION | ADDED_LATER if stored else ADDED_AT_CREATION
    return tuple(_walk("", live, rendered, ignored))


def identical(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same in each member; unlike in Python 1, 1.0 and true are three."""
    return not any(True for _ in _walk("", one, other, frozenset()))


def _walk(pointer: str, live: Any, rendered: Any, ignored: frozenset[str]) -> Iterator[Difference]:
    if pointer in ignored:
        return
    if isinstance(live, dict) and (isinstance(rendered, dict) or _is_shell(pointer, rendered, ignored)):
        expected = rendered if isinstance(rendered, dict) else {}
        for key in sorted({*live, *expected}):
            here, there = live.get(key, ABSENT), expected.get(key, ABSENT)
            if not _is_same(here, there):
                yield from _walk(f"{pointer}/{_escaped(key)}", here, there, ignored)
    elif isinstance(live, list) and isinstance(rendered, list):
        for index in range(max(len(live), len(rendered))):
            yield from _walk(f"{pointer}/{index}", _at(live, index), _at(rendered, index), ignored)
    elif not _is_same(live, rendered):
        yield Difference(pointer, live, rendered)


def _is_same(live: Any, rendered: Any) -> bool:
    """Whether both are the same scalar: of one type, since Python's `1 == True`."""
    return type(live) is type(rendered) and type(live) in _SCALARS and bool(live == rendered)


def _is_shell(pointer: str, rendered: Any, ignored: frozenset[str]) -> bool:
    """Whether a member that was not rendered may be there to hold ignored ones (`/status`)."""
    return rendered is ABSENT and any(line.startswith(f"{pointer}/") for line in ignored)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else ABSENT


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _shown(found: Any) -> str:
    return "nothing" if found is ABSENT else repr(found)
