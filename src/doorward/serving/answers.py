"""Answers that handlers give."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from doorward.core import problem as problems
from doorward.errors import Code, Refusal

HEADERS: Final = {
    "Server": "doorward",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: nothing may be cached or guessed at, and our versions are nobody's business."""


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` as compact JSON."""
    return _response(value, status, "application/json", headers)


def empty(status: int = 204) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status, headers=HEADERS)


def problem(refusal: Refusal) -> web.Response:
    """The problem document of a no (RFC 9457); a temporary one says when to come back."""
    again = {"Retry-After": "1"} if refusal.code in {Code.RATE_LIMITED, Code.UNAVAILABLE} else None
    return _response(problems.document(refusal), refusal.status, problems.MEDIA_TYPE, again)


def _response(value: Any, status: int, media_type: str, headers: Mapping[str, str] | None) -> web.Response:
    # Escapes would make most scripts two or three times as long, beyond what a door takes.
    text = jsonlib.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return web.Response(
        body=text.encode("utf-8", "replace"),
        status=status,
        content_type=media_type,
        headers={**HEADERS, **(headers or {})},
    )
