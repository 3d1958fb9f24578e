"""JSON with one reading. Whatever two parsers could read differently is refused.

Origin of the rules: duplicate keys are resolved first-wins by some parsers and last-wins by others,
NaN and Infinity are not JSON, lone surrogates cannot be re-encoded, and integers beyond 2**53 - 1
change value in every reader that uses doubles (RFC 8259, 4 and 6; RFC 8785, 3.2.2.3).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from doorward.errors import Code, Refusal

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1
_HOLDERS: Final = frozenset({dict, list})
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""The only spelling of a surrogate: UTF-8 itself has none."""


def loads(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Json:
    """Parse UTF-8 JSON. Raises `Refusal(malformed)` that says what has two readings."""
    if len(data) > max_bytes:
        raise Refusal(Code.MALFORMED, f"the body has more than {max_bytes} bytes", status=413)
    try:
        value: Json = _decode(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"not JSON: {error.msg} at byte {error.pos}") from None
    except RecursionError:
        raise _malformed(f"nested deeper than {max_depth}") from None
    except ValueError:
        raise _malformed("a number has too many digits") from None
    _check_depth(value, max_depth)
    if _SURROGATE.search(data):
        _check_texts(value)
    return value


def load_object(data: bytes, *, max_bytes: int) -> dict[str, Json]:
    """Parse a JSON object; anything else is `Refusal(malformed)`."""
    value = loads(data, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise _malformed("the body must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("an object has the same key twice")
    return found


def _no_constant(name: str) -> Json:
    raise _malformed(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _malformed("a number is not finite")
    return number


def _exact(text: str) -> int:
    number = int(text)
    if abs(number) > MAX_INTEGER:
        raise _malformed("an integer is beyond 2**53 - 1")
    return number


_decode: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_exact
).decode


def _check_depth(value: Json, depth: int) -> None:
    """Level by level: a call for each value would cost more than the parsing."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        level = [item for holder in level for item in _members(holder) if type(item) in _HOLDERS]
        if not level:
            return
    if any(level):
        raise _malformed(f"nested deeper than {depth}")


def _members(holder: Any) -> Iterable[Json]:
    return holder.values() if type(holder) is dict else holder


def _check_texts(value: Json) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _check_text(text: str) -> None:
    try:
        text.encode()  # the only strings that UTF-8 cannot hold
    except UnicodeEncodeError:
        raise _malformed("a string holds half of a surrogate pair") from None


def _malformed(detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, allowed="one JSON document in UTF-8 with unique keys")
