"""Who can make a condition true. A proof over its tree, not a guess from the names in it.

A condition guards an effect when it stays untrue whatever the agent makes, as long as nobody else has
spoken for the action: no person approved, no other role's task did what is asked for, no check is green,
no review approves. The proof follows all values a part could then have (abstract interpretation);
whatever it cannot follow counts as possibly true, so it errs on the side of demanding a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from doorward.policy.tree import Call, Const, Ident, Loop, Many, Node, Select, Struct


@dataclass(frozen=True, slots=True)
class Known:
    """Exactly this boolean, number or text."""

    value: bool | int | str


@dataclass(frozen=True, slots=True)
class Other:
    """Some text, but not this one."""

    than: str


@dataclass(frozen=True, slots=True)
class Row:
    """An object whose members are known by name."""

    kind: str


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of such objects, of at least so many."""

    kind: str
    least: int = 0


@dataclass(frozen=True, slots=True)
class Whatever:
    """Anything at all, an error included."""


@dataclass(frozen=True, slots=True)
class Error:
    """No value in any case."""


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty list."""


Value = Known | Other | Row | Rows | Whatever | Error | Empty
WHATEVER, ERROR, EMPTY = Whatever(), Error(), Empty()
YES, NO = Known(value=True), Known(value=False)

MEMBERS: Final[Mapping[str, Mapping[str, Value]]] = {
    "outcome": dict.fromkeys(
        ("rule", "connector", "action", "status", "resource", "role", "task", "at"), WHATEVER
    ),
    "approval": dict.fromkeys(("user", "at"), WHATEVER),
    "reference": dict.fromkeys(("kind", "id", "connector", "action", "resource", "at"), WHATEVER),
    "usage": dict.fromkeys(("rules", "effects"), WHATEVER),
    "task": dict.fromkeys(("name", "namespace", "role", "requestedBy", "input"), WHATEVER),
    "check": dict.fromkeys(("name", "green", "state"), WHATEVER),
    "review": dict.fromkeys(("user", "approved", "state", "commit"), WHATEVER),
    "silent outcome": {"status": Other("succeeded")},
    "silent check": {"green": NO, "state": Other("success")},
    "silent review": {"approved": NO},
}
"""Kind of object -> its members. `silent` is what there may be as long as nobody speaks for the action."""
_SILENT: Final = "silent "

_ROUNDS: Final = 8
"""Rounds after which a loop's value counts as unknown."""


@dataclass(frozen=True, slots=True)
class Own:
    """What the agents of a role make themselves."""

    role: str
    """Outcomes of this role are its own, also those of its other tasks."""
    facts: frozenset[str] = frozenset()
    """Facts of the upstream that its rules let it write, e.g. `facts.reviews`."""


@dataclass
class World:
    """What variables and functions may give."""

    variables: Mapping[str, Value]
    call: Callable[[Call, Mapping[str, Value]], Value | None]
    """Value of a call of one of our own functions; None for the language's."""
    unknown: list[tuple[str, str]] = field(default_factory=list)
    """(kind, member) of each member that does not exist, as it was met."""


def stands_alone(node: Node, own: Own) -> bool:
    """Whether the condition could be true although nobody but the agent has spoken."""
    world = World({"approvals": EMPTY}, lambda call, scope: _silence(call, scope, own))
    return True in truths(value_of(node, world, {}))


def misspelt(node: Node) -> tuple[str, str] | None:
    """The first member that does not exist, as (kind, member), or None."""
    variables: dict[str, Value] = {
        "outcomes": Rows("outcome"),
        "approvals": Rows("approval"),
        "references": Rows("reference"),
        "usage": Row("usage"),
        "task": Row("task"),
    }
    world = World(variables, lambda call, _: _SPOKEN.get(call.function))
    value_of(node, world, {})
    return next(iter(world.unknown), None)


_SPOKEN: Final[Mapping[str, Value]] = {
    "outcomesOf": Rows("outcome"),
    "facts.checks": Rows("check", 1),
    "facts.reviews": Rows("review"),
    "facts.head": WHATEVER,
}
_SILENCE: Final[Mapping[str, Value]] = {
    "facts.checks": Rows("silent check", 1),
    "facts.reviews": Rows("silent review"),
}


def _silence(call: Call, scope: Mapping[str, Value], own: Own) -> Value | None:
    """What a fact says while nobody speaks. The agent moves heads by pushing, so a head says nothing."""
    match call:
        case Call("outcomesOf", (Const(str(role)),)) if role != own.role:
            return Rows("silent outcome")
        case Call("facts.checks" | "facts.reviews" as name, (about,)):
            told = name not in own.facts and is_subject(about, scope)
            return _SILENCE[name] if told else WHATEVER
        case Call("outcomesOf" | "facts.head"):
            return WHATEVER
    return None


def is_subject(node: Node, scope: Mapping[str, Value] | None = None) -> bool:
    """Whether the argument names what the action is about, and not something that the agent picks."""
    match node:
        case Select(Ident("resource"), _, False) | Call("_[_]", (Ident("resource"), Const(str()))):
            return "resource" not in (scope or {})
        case Call("facts.head", (about,)):
            return is_subject(about, scope)
    return False


def truths(value: Value) -> frozenset[bool]:
    """The booleans that the value may be."""
    match value:
        case Whatever():
            return frozenset({True, False})
        case Known(bool(known)):
            return frozenset({known})
    return frozenset()


def value_of(node: Node, world: World, scope: Mapping[str, Value]) -> Value:
    """All that the node may evaluate to."""
    match node:
        case Select(operand, member, test):
            found = _member(value_of(operand, world, scope), member, world, test=test)
        case Loop():
            found = _looped(node, world, scope)
        case Call():
            found = _called(node, world, scope)
        case Many() | Struct():
            found = _built(node, world, scope)
        case Ident(name):
            found = scope.get(name, world.variables.get(name, WHATEVER))
        case Const(value):
            found = WHATEVER if value is None else Known(value)
    return found


def _built(node: Many | Struct, world: World, scope: Mapping[str, Value]) -> Value:
    parts = node.items if isinstance(node, Many) else node.parts
    if node == Many(()):
        return EMPTY
    return ERROR if ERROR in [value_of(part, world, scope) for part in parts] else WHATEVER


def _member(operand: Value, member: str, world: World, *, test: bool = False) -> Value:
    match operand:
        case Error():
            return ERROR
        case Row(kind):
            if member not in MEMBERS[kind.removeprefix(_SILENT)]:
                world.unknown.append((kind.removeprefix(_SILENT), member))
            return WHATEVER if test else MEMBERS[kind].get(member, WHATEVER)
    return WHATEVER


def _called(node: Call, world: World, scope: Mapping[str, Value]) -> Value:
    args = [value_of(arg, world, scope) for arg in node.args]
    found = world.call(node, scope)
    if found is not None:
        return ERROR if ERROR in args else found
    logic = _LOGIC.get(node.function)
    if logic is not None:
        return logic(*args)
    if ERROR in args:
        return ERROR
    match node.function, args, node.args:
        case "_[_]", [Row() as row, _], (_, Const(str(member))):
            return _member(row, member, world)
        case "_+_", [Empty() | Rows() as rows, _], (_, Many((item,))):
            return _longer(rows, value_of(item, world, scope))
    operator = _OPERATORS.get(node.function)
    return operator(*args) if operator is not None else WHATEVER


def _looped(node: Loop, world: World, scope: Mapping[str, Value]) -> Value:
    items = value_of(node.range, world, scope)
    start = value_of(node.start, world, scope)
    if isinstance(items, Error):
        return ERROR

    def inside(found: Value) -> dict[str, Value]:
        return {**scope, node.variable: _item(items), node.accumulator: found}

    found = start
    if not isinstance(items, Empty):
        found = _turned(start, items, lambda now: value_of(node.step, world, inside(now)))
    return value_of(node.result, world, inside(found))


def _turned(start: Value, items: Value, step: Callable[[Value], Value]) -> Value:
    """The accumulator after any number of turns that the list allows."""
    found = step(start) if isinstance(items, Rows) and items.least else start
    for _ in range(_ROUNDS):
        wider = join(found, step(found))
        if _same(wider, found):
            return found
        found = wider
    return WHATEVER


def _item(items: Value) -> Value:
    return Row(items.kind) if isinstance(items, Rows) else WHATEVER


def _longer(rows: Empty | Rows, item: Value) -> Value:
    if isinstance(item, Error):
        return ERROR
    if isinstance(item, Row) and (isinstance(rows, Empty) or rows.kind == item.kind):
        return Rows(item.kind)
    return WHATEVER


def join(one: Value, two: Value) -> Value:
    """The least value that covers both."""
    if _same(one, two) or isinstance(two, Error):
        return one
    match one, two:
        case Error(), _:
            return two
        case (Empty(), Rows(kind)) | (Rows(kind), Empty()):
            return Rows(kind)
        case Rows(kind, least), Rows(other, more) if kind == other:
            return Rows(kind, min(least, more))
    return WHATEVER


def _same(one: Value, two: Value) -> bool:
    """Equal, where to Python the number 1 equals the boolean true."""
    if isinstance(one, Known) and isinstance(two, Known) and type(one.value) is not type(two.value):
        return False
    return one == two


def _boolean(found: set[bool]) -> Value:
    if len(found) == 1:
        return Known(found.pop())
    return WHATEVER if found else ERROR


def _and(one: Value, two: Value) -> Value:
    left, right = truths(one), truths(two)
    return _boolean({*({True} & left & right), *({False} & (left | right))})


def _or(one: Value, two: Value) -> Value:
    left, right = truths(one), truths(two)
    return _boolean({*({True} & (left | right)), *({False} & left & right)})


def _not(one: Value) -> Value:
    return _boolean({not truth for truth in truths(one)})


def _if(condition: Value, then: Value, otherwise: Value) -> Value:
    reached = truths(condition)
    return join(then if True in reached else ERROR, otherwise if False in reached else ERROR)


def _equal(one: Value, two: Value) -> Value:
    match one, two:
        case Known(left), Known(right):
            return Known(type(left) is type(right) and left == right)
        case (Other(than), Known(text)) | (Known(text), Other(than)) if than == text:
            return NO
    return WHATEVER


def _unequal(one: Value, two: Value) -> Value:
    return _not(_equal(one, two))


def _size(one: Value) -> Value:
    return Known(0) if isinstance(one, Empty) else WHATEVER


def _in(_: Value, items: Value) -> Value:
    return NO if isinstance(items, Empty) else WHATEVER


def _index(items: Value, _: Value) -> Value:
    if isinstance(items, Empty):
        return ERROR
    return _item(items)


def _plus(one: Value, two: Value) -> Value:
    match one, two:
        case Known(int(left)), Known(int(right)):
            return Known(left + right)
    return WHATEVER


def _comparing(holds: Callable[[int, int], bool]) -> Callable[[Value, Value], Value]:
    def compared(one: Value, two: Value) -> Value:
        match one, two:
            case Known(int(left)), Known(int(right)):
                return Known(holds(left, right))
        return WHATEVER

    return compared


_LOGIC: Final[Mapping[str, Callable[..., Value]]] = {"_&&_": _and, "_||_": _or, "_?_:_": _if}
"""What can have a value although a part of it is an error."""
_OPERATORS: Final[Mapping[str, Callable[..., Value]]] = {
    "!_": _not,
    "_==_": _equal,
    "_!=_": _unequal,
    "_+_": _plus,
    "_<_": _comparing(lambda left, right: left < right),
    "_<=_": _comparing(lambda left, right: left <= right),
    "_>_": _comparing(lambda left, right: left > right),
    "_>=_": _comparing(lambda left, right: left >= right),
    "size": _size,
    "@in": _in,
    "_[_]": _index,
}
