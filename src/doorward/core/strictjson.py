"""JSON with one reading. Whatever two parsers could read differently is refused.

Origin of the rules: duplicate keys are resolved first-wins by some parsers and last-wins by others,
NaN and Infinity are not JSON, lone surrogates cannot be re-encoded, and integers beyond 2**53 - 1
change value in every reader that uses doubles (RFC 8259, 4 and 6; RFC 8785, 3.2.2.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from doorward.errors import Code, Refusal

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1


def loads(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Json:
    """Parse UTF-8 JSON. Raises `Refusal(malformed)` that says what has two readings."""
    if len(data) > max_bytes:
        raise Refusal(Code.MALFORMED, f"the body has more than {max_bytes} bytes", status=413)
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError:
        raise _malformed("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"not JSON: {error.msg} at byte {error.pos}") from None
    except RecursionError:
        raise _malformed(f"nested deeper than {max_depth}") from None
    except ValueError:
        raise _malformed("a number has too many digits") from None
    _check(value, max_depth)
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


def _check(value: Json, depth: int) -> None:
    if depth < 0:
        raise _malformed(f"nested deeper than {MAX_DEPTH}")
    match value:
        case str():
            _check_text(value)
        case int() if abs(value) > MAX_INTEGER:
            raise _malformed("an integer is beyond 2**53 - 1")
        case float() if not math.isfinite(value):
            raise _malformed("a number is not finite")
        case dict():
            for key, item in value.items():
                _check_text(key)
                _check(item, depth - 1)
        case list():
            for item in value:
                _check(item, depth - 1)


def _check_text(text: str) -> None:
    try:
        text.encode()  # the only strings that UTF-8 cannot hold; a loop here costs more than the parsing
    except UnicodeEncodeError:
        raise _malformed("a string holds half of a surrogate pair") from None


def _malformed(detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, allowed="one JSON document in UTF-8 with unique keys")
