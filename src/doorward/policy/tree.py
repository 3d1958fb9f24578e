"""The tree of a compiled condition, read from the bytes that the compiler gives away.

The compiler expands macros (`all`, `exists`, `filter`...) into comprehensions, so these seven forms are all
there is. Origin: cel.expr.CheckedExpr of the CEL specification (checked.proto, syntax.proto), in the
Protocol Buffers wire format. What is not known raises, and a condition that cannot be read proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

_EXPRESSION: Final = 4
"""Field of CheckedExpr."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Const:
    """A literal. What is neither boolean, integer nor text has the value None."""

    value: bool | int | str | None


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable, also of a comprehension."""

    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.member`, or `has(operand.member)`."""

    operand: Node
    member: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function or operator; the target of a method comes first."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list that is written out."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """A map that is written out."""

    parts: tuple[Node, ...]
    """Keys and values."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A comprehension: `result` after `step` was done for each item of `range`."""

    variable: str
    range: Node
    accumulator: str
    start: Node
    condition: Node
    step: Node
    result: Node


Node = Const | Ident | Select | Call | Many | Struct | Loop


class UnreadableError(ValueError):
    """The tree has a form that this version does not know."""


class _Field(NamedTuple):
    number: int
    value: int | bytes


def read(compiled: bytes) -> Node:
    """The tree of a serialized expression (Any around a CheckedExpr). Raises `UnreadableError`."""
    try:
        checked = _one(compiled, 2)
        return _node(_one(checked, _EXPRESSION))
    except (IndexError, UnicodeDecodeError) as error:
        raise UnreadableError("the compiled form is cut off") from error


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    """What the node is made of."""
    match node:
        case Select(operand):
            return (operand,)
        case Call(_, args):
            return args
        case Many(items):
            return items
        case Struct(parts):
            return parts
        case Loop():
            return (node.range, node.start, node.condition, node.step, node.result)
    return ()


def _node(data: bytes) -> Node:
    for number, value in _fields(data):
        read_as = _FORMS.get(number)
        if read_as is not None and isinstance(value, bytes):
            return read_as(value)
    raise UnreadableError("an expression has no known form")


def _const(data: bytes) -> Node:
    for number, value in _fields(data):
        match number, value:
            case 2, int():
                return Const(bool(value))
            case 3, int():
                return Const(value - 2 * _SIGN if value & _SIGN else value)
            case 6, bytes():
                return Const(value.decode())
    return Const(None)


def _ident(data: bytes) -> Node:
    return Ident(_one(data, 1).decode())


def _select(data: bytes) -> Node:
    return Select(
        _node(_one(data, 1)), _one(data, 2).decode(), any(item.number == 3 for item in _fields(data))
    )


def _call(data: bytes) -> Node:
    return Call(_one(data, 2).decode(), tuple(_node(part) for part in (*_all(data, 1), *_all(data, 3))))


def _many(data: bytes) -> Node:
    return Many(tuple(_node(part) for part in _all(data, 1)))


def _struct(data: bytes) -> Node:
    parts = (part for entry in _all(data, 2) for number in (3, 4) for part in _all(entry, number))
    return Struct(tuple(_node(part) for part in parts))


def _loop(data: bytes) -> Node:
    if any(item.number == 8 and item.value for item in _fields(data)):
        raise UnreadableError("a comprehension over two variables")
    parts = [_node(_one(data, number)) for number in (2, 4, 5, 6, 7)]
    return Loop(_one(data, 1).decode(), parts[0], _one(data, 3).decode(), *parts[1:])


_FORMS: Final = {3: _const, 4: _ident, 5: _select, 6: _call, 7: _many, 8: _struct, 9: _loop}
"""Field of Expr -> what reads it."""


def _one(data: bytes, number: int) -> bytes:
    found = _all(data, number)
    if len(found) != 1:
        raise UnreadableError(f"field {number} comes {len(found)} times")
    return found[0]


def _all(data: bytes, number: int) -> list[bytes]:
    return [item.value for item in _fields(data) if item.number == number and isinstance(item.value, bytes)]


def _fields(data: bytes) -> Iterator[_Field]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield _Field(number, value)
            continue
        size, at = _varint(data, at) if kind == _BYTES else ({_FIXED64: 8, _FIXED32: 4}.get(kind, -1), at)
        if size < 0 or at + size > len(data):
            raise UnreadableError("a field of unknown kind or length")
        yield _Field(number, data[at : at + size])
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        octet = data[at]
        found |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:
            return found, at
