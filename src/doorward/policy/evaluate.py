"""Conditions in CEL. Only a BOOL that is True permits; every error and every exhausted budget denies.

The library returns run-time errors as values whose text is truthy and raises when its iteration budget
is used up, so a verdict is never taken from `bool(...)`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from doorward.policy import provenance, tree
from doorward.policy.provenance import Own
from doorward.policy.tree import Call, Const, Ident, Loop, Node

_MAP: Final = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_ROWS: Final = cel.Type.List(_MAP)
_VARIABLES: Final = {
    "action": cel.Type.STRING,
    "args": _MAP,
    "resource": _MAP,
    "outcomes": _ROWS,
    "references": _ROWS,
    "usage": cel.Type.Map(cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.INT)),
    "approvals": _ROWS,
    "task": _MAP,
    "now": cel.Type.TIMESTAMP,
}
_FUNCTIONS: Final = {
    "outcomesOf": (cel.Type.STRING, _ROWS),
    "facts.checks": (cel.Type.STRING, _ROWS),
    "facts.reviews": (cel.Type.INT, _ROWS),
    "facts.head": (cel.Type.INT, cel.Type.STRING),
}
UPSTREAM: Final = frozenset({"facts.checks", "facts.reviews", "facts.head"})
"""Functions whose answer the broker reads upstream."""

VARIABLES: Final = (*_VARIABLES, *(f"{name}()" for name in _FUNCTIONS))
"""What a condition may speak of."""

MAX_NODES: Final = 400
"""Parts of a condition."""
MAX_LOOPS: Final = 3
"""Loops (all, exists, filter...) inside or behind one another; at run time 10,000 turns are the end."""


@dataclass(frozen=True, slots=True)
class Question:
    """A fact that a condition asks for."""

    fact: str
    """Name of the function."""
    about: str | int
    """Its argument."""


class UnansweredError(LookupError):
    """Nobody has answered the question."""


Answer = Callable[[Question], Any]
"""Answers a question. Raises `UnansweredError`."""


def _nobody(question: Question) -> Any:
    raise UnansweredError(question.fact)


_ANSWER: Final[ContextVar[Answer]] = ContextVar("answer", default=_nobody)


def _declared(name: str) -> Any:
    takes, gives = _FUNCTIONS[name]
    overload = cel.Overload(
        name.replace(".", "_"),
        return_type=gives,
        parameters=[takes],
        impl=lambda about: _ANSWER.get()(Question(name, about)),
    )
    return cel.FunctionDecl(name, [overload])


_ENVIRONMENT: Final = cel.NewEnv(variables=_VARIABLES, functions=[_declared(name) for name in _FUNCTIONS])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition came to."""

    holds: bool
    asked: tuple[Question, ...] = ()
    """What it asked upstream on the way, in order, each once."""
    missing: tuple[Question, ...] = ()
    """Those of them without which it has no value."""


def judge(expression: str, variables: Mapping[str, Any], answer: Answer = _nobody) -> Verdict:
    """What the condition comes to. Never raises: what cannot be evaluated does not hold.

    A part that has no answer is an error, which like any error yields to `false &&` and `true ||`: only when
    the whole has no value for it is the question missing.
    """
    asked: dict[Question, None] = {}
    unanswered: dict[Question, None] = {}

    def heard(question: Question) -> Any:
        if question.fact in UPSTREAM:
            asked[question] = None
        try:
            return answer(question)
        except UnansweredError:
            unanswered[question] = None
            raise

    before = _ANSWER.set(heard)
    try:
        found = _compiled(expression).eval(data=dict(variables))
    except Exception:  # noqa: BLE001 - whatever went wrong, the condition has not been found true
        return Verdict(holds=False, asked=tuple(asked))
    finally:
        _ANSWER.reset(before)
    if found.type() == cel.Type.BOOL:
        return Verdict(found.value() is True, tuple(asked))
    return Verdict(holds=False, asked=tuple(asked), missing=tuple(unanswered))


def holds(expression: str, variables: Mapping[str, Any], answer: Answer = _nobody) -> bool:
    """Whether the condition is true. Never raises: what cannot be evaluated does not hold."""
    return judge(expression, variables, answer).holds


def moment(seconds: float) -> dt.datetime:
    """A point in time, as conditions see it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def fault(expression: str, *, stage: bool = False) -> str | None:
    """Why the expression cannot be a condition, or None. Type-checked, not run.

    `stage` is for the condition of a stage, which is about no action.
    """
    try:
        kind = _compiled(expression).return_type()
        root = _tree(expression)
    except (RuntimeError, tree.UnreadableError) as error:
        return f"{_first_line(error)}; known: {', '.join(VARIABLES)}"
    if kind != cel.Type.BOOL:
        return f"yields {kind.name()}, and a condition yields BOOL: compare with something"
    return next(_excesses(root), None) or _misused(root, stage=stage) or _misspelt(root)


def guard_fault(expression: str, own: Own) -> str | None:
    """Why the condition is no guard against an agent of this role, in a sentence; None when it is one."""
    wrong = fault(expression)
    return f"its condition {wrong}" if wrong else _guard_fault(expression, own)


def rests_on_others(expression: str, own: Own) -> bool:
    """Whether the condition can only be true once somebody else than the agent has spoken."""
    return guard_fault(expression, own) is None


def reads(expression: str, *names: str) -> bool:
    """Whether the condition mentions one of these variables or functions; also when it is unusable."""
    try:
        return bool(set(names) & _mentioned(expression))
    except (RuntimeError, tree.UnreadableError):
        return False


def roles_read(expression: str) -> frozenset[str]:
    """The roles whose outcomes the condition asks for."""
    try:
        found = [node for node in tree.walk(_tree(expression)) if isinstance(node, Call)]
    except (RuntimeError, tree.UnreadableError):
        return frozenset()
    return frozenset(
        arg.value
        for node in found
        for arg in node.args
        if node.function == "outcomesOf" and isinstance(arg, Const) and isinstance(arg.value, str)
    )


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    return _ENVIRONMENT.compile(expression)


@lru_cache(maxsize=4096)
def _tree(expression: str) -> Node:
    return tree.read(_compiled(expression).serialize())


@lru_cache(maxsize=4096)
def _mentioned(expression: str) -> frozenset[str]:
    found = set()
    for node in tree.walk(_tree(expression)):
        match node:
            case Call(name) | Ident(name):
                found.add(name)
    return frozenset(found)


@lru_cache(maxsize=4096)
def _guard_fault(expression: str, own: Own) -> str | None:
    root = _tree(expression)
    if not provenance.stands_alone(root, own):
        return None
    return next(_reasons(root, own), _NOBODY)


_NOBODY: Final = (
    "the condition can be true although nobody but the agent has spoken: require a green check, an approving "
    "review, an approval, or an outcome of another role that succeeded, not joined by `||` with anything else"
)


def _reasons(root: Node, own: Own) -> Iterator[str]:
    for node in tree.walk(root):
        match node:
            case Call("facts.checks" | "facts.reviews" as name, (about,)):
                if name in own.facts:
                    yield f"role {own.role} makes {name.removeprefix('facts.')} itself"
                elif not provenance.is_subject(about):
                    yield f"{name} is asked about what the agent picks: ask it about a member of `resource`"
            case Call("outcomesOf", (Const(value),)) if value == own.role:
                yield f"outcomes of role {own.role} are its agents' own"


def _excesses(root: Node) -> Iterator[str]:
    if sum(1 for _ in tree.walk(root)) > MAX_NODES:
        yield f"has more than {MAX_NODES} parts: split the rule"
    if _depth(root) > MAX_LOOPS:
        yield f"has more than {MAX_LOOPS} loops inside one another"
    if any(_joins(loop) for loop in tree.walk(root) if isinstance(loop, Loop)):
        yield "uses + inside a loop, which could grow without bound: use it outside"


def _depth(node: Node) -> int:
    deepest = max((_depth(child) for child in tree.children(node)), default=0)
    return deepest + isinstance(node, Loop)


def _joins(loop: Loop) -> bool:
    """Whether the author adds inside a loop; the loop itself counts and collects in its accumulator."""
    return any(
        isinstance(node, Call) and node.function == "_+_" and not _collects(node)
        for node in tree.walk(loop.step)
    )


def _collects(node: Call) -> bool:
    first = node.args[0]
    return isinstance(first, Ident) and first.name.startswith("@")


def _misused(root: Node, *, stage: bool) -> str | None:
    for node in tree.walk(root):
        match node:
            case Call("outcomesOf", (about,)) if not (
                isinstance(about, Const) and isinstance(about.value, str)
            ):
                return "calls outcomesOf() with a computed role: write its name, as in outcomesOf('reviewer')"
            case Call(name) if stage and name in UPSTREAM:
                return f"calls {name}(), and the condition of a stage is about no action: use it in a rule"
    return None


def _misspelt(root: Node) -> str | None:
    found = provenance.misspelt(root)
    if found is None:
        return None
    kind, member = found
    return f"asks for {member} of {kind}; known: {', '.join(provenance.MEMBERS[kind])}"


def _first_line(error: Exception) -> str:
    return str(error).removeprefix("INVALID_ARGUMENT: ERROR: ").splitlines()[0]
