"""Gitea and GitHub: where the API is and how it wants to be spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.connectors.upstream import Dialect


@dataclass(frozen=True, slots=True)
class _Provider:
    prefix: str
    scheme: str
    accept: str


DIALECTS: Final[Mapping[str, _Provider]] = {
    "gitea": _Provider("/api/v1", "token", "application/json"),
    "github": _Provider("", "Bearer", "application/vnd.github+json"),
}
"""Provider -> dialect. A GitHub Enterprise endpoint is given with its own `/api/v3`."""


def dialect(provider: str, endpoint: str) -> Dialect:
    """The dialect of a known `provider` at `endpoint`, which has no trailing slash."""
    found = DIALECTS[provider]
    return Dialect(endpoint + found.prefix, found.scheme, found.accept)
