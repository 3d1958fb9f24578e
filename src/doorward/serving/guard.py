"""The gate: refuses every request that two readers could understand differently.

The parser underneath refuses conflicting lengths, bad chunks, folded headers and the like. It accepts
what is listed here [attacks B9 to B17]: absolute targets override Host, HTTP/1.0 mixes with chunks,
trailers vanish, the second of two Authorization headers goes unseen, bodies of GET are smuggled, h2c
upgrades pass by every check behind the first request.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion, HttpVersion11
from multidict import CIMultiDictProxy

from doorward.errors import Code, Refusal
from doorward.serving.request import Limits

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_BODYLESS: Final = frozenset({"GET", "HEAD"})
_LISTS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "forwarded",
        "link",
        "prefer",
        "via",
        "x-forwarded-for",
    }
)
"""Headers that may come more than once: lists by their definition, and none of them decides anything."""
_TARGET: Final = re.compile(r"/[!\"$-\[\]-~]*\Z")
"""Visible ASCII that begins with a slash, without `#` and backslash."""
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_TWO_READINGS: Final = re.compile(r"(?i)//|%2f|%5c|%00|/(?:\.|%2e){1,2}(?:[/;]|\Z)")
"""Of a path: empty segments, hidden separators and NUL, dot segments however they are spelt."""


@dataclass(frozen=True, slots=True)
class Head:
    """Request line and headers."""

    method: str
    target: str
    version: HttpVersion
    headers: CIMultiDictProxy[str]


def check(head: Head, limits: Limits) -> None:
    """Raise `Refusal(malformed)` with the exact HTTP status, or return."""
    _check_method(head)
    _check_target(head.target)
    _check_headers(head.headers)
    _check_framing(head, limits)


def _check_method(head: Head) -> None:
    if head.version != HttpVersion11:
        raise _no("only HTTP/1.1 is spoken here", status=505)
    if head.method not in METHODS:
        raise _no("this method is not served", status=405, allowed=", ".join(sorted(METHODS)))


def _check_target(target: str) -> None:
    if not _TARGET.match(target):
        raise _no("the request target is not a plain path", allowed="/path?query in visible ASCII")
    path = target.partition("?")[0]
    if _BAD_ESCAPE.search(target) or _TWO_READINGS.search(path):
        raise _no("the path has two readings", allowed="a path without dot segments or hidden separators")


def _check_headers(headers: CIMultiDictProxy[str]) -> None:
    # Iterating the mapping itself gives equal names once; only `items` shows them all.
    names = [name.lower() for name, _ in headers.items()]
    if len(names) != len(set(names)):
        twice = {name for name in names if names.count(name) > 1} - _LISTS
        if twice:
            raise _no(f"the same header twice: {', '.join(sorted(twice))}")
    if "Host" not in headers:
        raise _no("the Host header is missing")
    for name in ("Upgrade", "HTTP2-Settings", "Trailer"):
        if name in headers:
            raise _no(f"{name} is not served here")


def _check_framing(head: Head, limits: Limits) -> None:
    headers = head.headers
    length = headers.get("Content-Length")
    if head.method in _BODYLESS and ("Transfer-Encoding" in headers or length not in {None, "0"}):
        raise _no(f"{head.method} carries no body")
    if "Transfer-Encoding" in headers and not limits.chunked:
        raise _no("the body needs a Content-Length", status=411)
    if length is not None and int(length) > limits.body_bytes:
        raise too_large(limits)
    if headers.get("Content-Encoding", "identity").lower() not in limits.encodings | {"identity"}:
        raise _no("the body must not be encoded", status=415)
    if headers.get("Expect", "100-continue").lower() != "100-continue":
        raise _no("this expectation is not met", status=417)


def check_media_type(headers: CIMultiDictProxy[str], expected: str | None) -> None:
    """Refuse (415) a body that does not say it is `expected`."""
    if expected is None:
        return
    found, _, parameters = headers.get("Content-Type", "").lower().partition(";")
    if found.strip() != expected or parameters.strip() not in {"", "charset=utf-8"}:
        raise _no("the body has another media type", status=415, allowed=expected)


def too_large(limits: Limits) -> Refusal:
    """The no to a body beyond the limit."""
    return _no("the body is too large", status=413, allowed=f"{limits.body_bytes} bytes")


def _no(detail: str, status: int = 400, allowed: str | None = None) -> Refusal:
    return Refusal(Code.MALFORMED, detail, status=status, allowed=allowed)
