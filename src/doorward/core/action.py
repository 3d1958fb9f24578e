"""An action: what an agent wants done outside its pod, in the one form everybody computes over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from doorward.core.effect import Effect
from doorward.core.strictjson import JsonObject
from doorward.errors import Code, Refusal

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes that any connector passes on of an answer at most: budgets set this aside before it is known."""

ResourceValue = str | int
Resource = Mapping[str, ResourceValue]


@dataclass(frozen=True, slots=True)
class Attachment:
    """Bytes that travel beside the arguments, known here by hash and size only."""

    name: str
    sha256: str
    """Lower-case hex of the bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action with exactly these arguments on exactly this resource."""

    connector: str
    name: str
    resource: Resource
    args: JsonObject
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class NativeRoute:
    """A request of an existing client that means this action.

    `path` has `{name}` places, each one segment, or `{name+}` for the rest of the path. `query` and
    `body` name the arguments that may come there; what they do not name is refused.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    """Query parameter -> argument."""
    body: Mapping[str, str] = field(default_factory=dict)
    """Body member -> argument."""


@dataclass(frozen=True, slots=True)
class Use:
    """How much of something one action may use, before anybody knows how much it will."""

    most: int
    """In units of what is used: bytes, tokens, millionths of a currency."""
    argument: str | None = None
    """Integer argument that bounds it further, where it is given."""
    each: int = 1
    """Units for one of the argument."""

    def of(self, args: JsonObject) -> int:
        """The most that an action with these arguments uses."""
        value = args.get(self.argument) if self.argument else None
        if type(value) is not int or value < 0:
            return self.most
        return min(self.most, value * self.each)


@dataclass(frozen=True, slots=True)
class ActionType:
    """One verb of a connector, as its catalogue declares it."""

    name: str
    effect: Effect
    summary: str
    arguments: JsonObject
    """JSON Schema (2020-12) of the arguments, objects closed."""
    resource: Mapping[str, str]
    """Resource attribute -> template over arguments, e.g. `{owner}/{repo}`, or a bare argument name."""
    enforces: frozenset[str] = frozenset()
    """Attributes a rule may constrain because this action can hold them."""
    native: tuple[NativeRoute, ...] = ()
    runs_ci: bool = False
    """Whether the upstream's CI runs what this action brings there."""
    uses: Mapping[str, Use] = field(default_factory=dict)
    """What is counted besides the action itself (`bytes`, `tokens`, `spend`) -> the most that one uses."""
    makes: str | None = None
    """Kind of the object that it makes and that stays open upstream, e.g. `pull`, as references name it."""


def resource_of(action_type: ActionType, args: JsonObject) -> dict[str, ResourceValue]:
    """The resource attributes that these arguments name.

    Never taken from the agent: broker and connector derive it from what they evaluate and execute.
    Raises `Refusal(arguments_invalid)` when an argument that names the resource is missing.
    """
    return {name: _fill(template, args) for name, template in action_type.resource.items()}


def arguments_of(action_type: ActionType) -> frozenset[str]:
    """The arguments that name the resource."""
    return frozenset(name for template in action_type.resource.values() for name in _names(template))


def _names(template: str) -> list[str]:
    if "{" not in template:
        return [template]
    return [piece.partition("}")[0] for piece in template.split("{") if "}" in piece]


def _fill(template: str, args: JsonObject) -> ResourceValue:
    if "{" not in template:
        return _scalar(template, args)
    parts = []
    for piece in template.split("{"):
        name, brace, rest = piece.partition("}")
        parts.append(f"{_scalar(name, args)}{rest}" if brace else piece)
    return "".join(parts)


def _scalar(name: str, args: JsonObject) -> ResourceValue:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refusal(
            Code.ARGUMENTS_INVALID,
            f"argument {name!r} is missing or neither text nor integer",
            allowed="the arguments that name the resource",
        )
    return value
