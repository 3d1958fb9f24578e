"""Credentials written out as plain text: known forms, and what is too random to be a word.

A heuristic, and named as one: it finds what people paste by mistake, not what somebody hides.
What it finds is never shown; people see a fingerprint, by which a role can accept a false alarm.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

from doorward.render.environment import PLACEHOLDER

ACCEPTED: Final = "doorward.dev/accepted-literals"
"""Annotation of an AgentRole: fingerprints, separated by commas, of texts that only look like credentials."""

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----")
_RUN: Final = re.compile(r"[A-Za-z0-9+=_-]{24,}")
_MIXED: Final = tuple(map(re.compile, ("[a-z]", "[A-Z]", "[0-9]")))
_PROSE: Final = re.compile(r"[\s/]")
_DIGIT: Final = re.compile(r"\d")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_SECRET_NAME: Final = re.compile(
    r"(?i)secret|token|passw|passphrase|api_?-?key|access_?-?key|private_?-?key|credential|auth(?!or)"
)
_SHORTEST: Final = 8
"""Texts with fewer characters are no credentials that are worth anything."""
_REMEMBERED: Final = 256
"""Texts with more characters are looked at each time: few are alike, and the memory stays small."""
_RANDOM: Final = 4.2
"""Bits a character: base64 of random bytes has more from 24 characters on, words and paths have less."""
_NAMED_RANDOM: Final = 3.0
"""The same for what is called a secret: hexadecimal has more."""
_UNLIKE_PATHS: Final = 4.5
"""The same for what has slashes: base64 of forty characters has more, paths that long are words."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A text that looks like a credential; the text itself is not kept."""

    name: str
    """Which form it has."""
    fingerprint: str
    """`sha256:<hex>` of the text, for an exception on the role."""


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    near: str
    pattern: re.Pattern[str]


class _SuspiciousError(Exception):
    """Carries what was found out of the memory, which keeps no exception and so no credential."""

    def __init__(self, found: tuple[Suspicion, ...]) -> None:
        self.found = found


def find(text: str, called: str = "") -> tuple[Suspicion, ...]:
    """The credentials in the text. `called` is the name it goes by: of a variable, a key, a flag."""
    if len(text) < _SHORTEST or text == PLACEHOLDER:
        return ()
    if len(text) > _REMEMBERED:
        return tuple(_suspicions(text, called))
    try:
        return _innocent(text, called)
    except _SuspiciousError as error:
        return error.found


@lru_cache(maxsize=8192)
def _innocent(text: str, called: str) -> tuple[Suspicion, ...]:
    """Nothing, remembered: pods of a role are alike in most of their texts. Raises `_SuspiciousError`."""
    found = tuple(_suspicions(text, called))
    if found:
        raise _SuspiciousError(found)
    return found


def _suspicions(text: str, called: str) -> Iterator[Suspicion]:
    for item in formats():
        if item.near in text:
            yield from (Suspicion(item.name, fingerprint(found[0])) for found in item.pattern.finditer(text))
    yield from _random(_CERTIFICATE.sub(" ", text) if "CERTIFICATE" in text else text, called)


def find_in(value: Any, accepted: frozenset[str] = frozenset()) -> Iterator[tuple[str, Suspicion]]:
    """`(pointer, suspicion)` for each text in a JSON value, member names included, but for accepted ones."""
    yield from ((path, found) for path, found in _search("", "", value) if found.fingerprint not in accepted)


def fingerprint(text: str) -> str:
    """What stands for a text in messages and exceptions."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def accepted(annotations: Mapping[str, str]) -> frozenset[str]:
    """The fingerprints that a role accepts."""
    return frozenset(part.strip() for part in annotations.get(ACCEPTED, "").split(",") if part.strip())


@cache
def formats() -> tuple[_Format, ...]:
    """The known forms, from data/credentials.toml."""
    raw = resources.files(__package__).joinpath("data/credentials.toml").read_text()
    found = tomllib.loads(raw)["format"]
    return tuple(_Format(item["name"], item["near"], re.compile(item["pattern"])) for item in found)


def escaped(key: str) -> str:
    """A member name as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _search(pointer: str, called: str, value: Any) -> Iterator[tuple[str, Suspicion]]:
    if isinstance(value, str):
        for found in find(value, called):
            yield pointer, found
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = f"{pointer}/{escaped(key)}"
            for found in find(key):
                yield inner, found
            yield from _search(inner, _name(key, value), item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _search(f"{pointer}/{index}", called, item)


def _name(key: str, holder: Mapping[str, Any]) -> str:
    """What a member is called: `{name: X, value: Y}` calls Y by X."""
    given = holder.get("name")
    return given if key == "value" and isinstance(given, str) else key


def _random(text: str, called: str) -> Iterator[Suspicion]:
    for found in _RUN.finditer(text):
        if _mixed(found[0]) and _bits(found[0]) >= _RANDOM:
            yield Suspicion("a random text", fingerprint(found[0]))
    name, _, flagged = text.partition("=")
    if text.startswith("-") and flagged:
        called, text = name, flagged
    if len(text) < 16 or not _SECRET_NAME.search(called) or (_PROSE.search(text) and not _slashed(text)):
        return
    if _DIGIT.search(text) and _bits(text) >= _NAMED_RANDOM:
        yield Suspicion("a random text that is called a secret", fingerprint(text))


def _slashed(text: str) -> bool:
    """Whether the slashes are those of base64, as in the secret keys of AWS, and not those of a path."""
    return bool(_BASE64.fullmatch(text)) and _mixed(text) and _bits(text) >= _UNLIKE_PATHS


def _mixed(text: str) -> bool:
    return all(part.search(text) for part in _MIXED)


def _bits(text: str) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())
