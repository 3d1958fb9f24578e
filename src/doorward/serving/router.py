"""Finding the handler by the raw path. Nothing is decoded, so nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from doorward.errors import Code, Refusal
from doorward.serving.request import Route

_NONE: Final[Mapping[str, str]] = {}


class Router:
    """Exact paths by dictionary, paths with places in the order they were given."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._places: list[Route] = []
        for route in routes:
            if "{" in route.path:
                self._places.append(route)
            else:
                self._exact.setdefault(route.path, {})[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route and the values of its places. Raises `Refusal(malformed)` with 404 or 405."""
        found: dict[str, tuple[Route, Mapping[str, str]]] = {
            name: (route, _NONE) for name, route in self._exact.get(path, {}).items()
        }
        for route in self._places:
            values = _match(route.segments, path)
            if values is not None:
                found.setdefault(route.method, (route, values))
        if not found:
            raise Refusal(Code.MALFORMED, "there is nothing at this path", status=404)
        chosen = found.get(method) or found.get("*")
        if chosen is None:
            allowed = ", ".join(sorted(found))
            raise Refusal(Code.MALFORMED, "this method is not served here", status=405, allowed=allowed)
        return chosen


def _match(pattern: Sequence[str], path: str) -> dict[str, str] | None:
    segments = path.split("/")[1:]
    values: dict[str, str] = {}
    for index, part in enumerate(pattern):
        if index >= len(segments):
            return None
        if part.endswith("+}"):
            rest = "/".join(segments[index:])
            return {**values, part[1:-2]: rest} if rest else None
        if part.startswith("{") and segments[index]:
            values[part[1:-1]] = segments[index]
        elif part != segments[index]:
            return None
    return values if len(segments) == len(pattern) else None
