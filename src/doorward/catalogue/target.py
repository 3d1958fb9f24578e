"""A raw request target with one reading, or a refusal.

Origin of the rules: RFC 3986 (3.3, 3.4, 6.2.2) and the ways in which proxies and servers have read one
target differently: dot segments and their encoded forms, encoded slashes, backslashes and NUL, `;`
parameters, empty segments, fragments, double encoding and repeated query names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from doorward.errors import Code, Refusal

MAX_TARGET: Final = 8192
"""Bytes of a request target."""

_ALLOWED: Final = "one path with an optional query, percent-encoded once, without dot segments"
_PATH: Final = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})+)+", re.ASCII)
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9._~!$'()*+,=:@/&-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_TWO_READINGS: Final = re.compile(r"[/\\;%\x00-\x1f\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Target:
    """A target, decoded once."""

    segments: tuple[str, ...]
    query: dict[str, str]


def parse(raw: str) -> Target:
    """The target as segments and query. Raises `Refusal(malformed)` that says what has two readings."""
    if len(raw) > MAX_TARGET:
        raise Refusal(Code.MALFORMED, f"the target has more than {MAX_TARGET} bytes", status=414)
    path, mark, query = raw.partition("?")
    if not _PATH.fullmatch(path):
        raise _malformed("the path has an empty segment or a character that must be percent-encoded")
    return Target(tuple(_segment(part) for part in path.split("/")[1:]), _parameters(query) if mark else {})


def _segment(raw: str) -> str:
    text = _decode(raw)
    if text in {".", ".."}:
        raise _malformed("the path has a dot segment")
    if _TWO_READINGS.search(text):
        raise _malformed(
            "a segment holds an encoded slash, backslash, semicolon, percent sign or control character"
        )
    return text


def _parameters(query: str) -> dict[str, str]:
    if not _QUERY.fullmatch(query):
        raise _malformed("the query is empty or has a character that must be percent-encoded")
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, equals, value = (_decode(part.replace("+", " ")) for part in pair.partition("="))
        if not name or not equals:
            raise _malformed("a query parameter is not name=value")
        if name in found:
            raise _malformed(f"the query parameter {name!r} comes twice")
        found[name] = value
    return found


def _decode(raw: str) -> str:
    octets = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw.encode("ascii"))
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("percent-encoded bytes are not UTF-8") from None
    if _CONTROL.search(text):
        raise _malformed("a control character")
    return text


def _malformed(detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, allowed=_ALLOWED)
