"""Kinds of values that several resources use, each with its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints

from doorward.api.v1alpha1.base import Model, rule, validations
from doorward.core import duration


def form(pattern: str, remedy: str) -> dict[str, Any]:
    """The schema extra that lets the API server say how to write a value instead of showing a pattern."""
    return validations(rule(f"self.matches(r'{pattern}')", remedy))


_NAME: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_OBJECT: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
_ACTION: Final = r"^[a-z][a-zA-Z0-9]*(\.[a-z][a-zA-Z0-9]*)*$"
_ACTIONS: Final = r"^(\*|[a-z][a-zA-Z0-9]*(\.[a-z][a-zA-Z0-9]*)*)$"
_DECIMAL: Final = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$"
_CPU: Final = r"^([1-9][0-9]{0,4}m|[1-9][0-9]{0,2}(\.[0-9]{1,3})?|0\.[0-9]{1,3})$"
_BYTES: Final = r"^[1-9][0-9]{0,8}(Ki|Mi|Gi)$"

Name = Annotated[
    str,
    StringConstraints(pattern=_NAME, min_length=1, max_length=63),
    Field(json_schema_extra=form(_NAME, "write lower-case letters, digits and dashes, e.g. bug-fixer")),
]
"""A DNS label: names of roles, connectors, rules and stages."""
ObjectName = Annotated[
    str,
    StringConstraints(pattern=_OBJECT, min_length=1, max_length=253),
    Field(json_schema_extra=form(_OBJECT, "write lower-case letters, digits, dashes and dots, e.g. fix-7")),
]
"""A DNS subdomain: names of objects."""
Uid = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9-]{1,64}$", max_length=64)]
User = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Digest = Annotated[
    str,
    StringConstraints(pattern=_DIGEST, max_length=71),
    Field(json_schema_extra=form(_DIGEST, "write sha256: and 64 hex digits, as it is shown")),
]
Glob = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]+$", min_length=1, max_length=256)]
"""`*` stays within a segment, `**` crosses slashes, `?` is one character; the rest is itself."""
Globs = Annotated[tuple[Glob, ...], Field(min_length=1, max_length=32)]
Attribute = Annotated[str, StringConstraints(pattern=r"^[a-z][a-zA-Z0-9]{0,62}$", max_length=63)]
ActionName = Annotated[
    str,
    StringConstraints(pattern=_ACTION, min_length=1, max_length=63),
    Field(json_schema_extra=form(_ACTION, "write the action as its catalogue does, e.g. issue.comment")),
]
ActionPattern = Annotated[
    str,
    StringConstraints(pattern=_ACTIONS, min_length=1, max_length=63),
    Field(json_schema_extra=form(_ACTIONS, "write an action, e.g. issue.comment, or * for read and draft")),
]
FreeObject = Mapping[str, Any]
"""JSON of the user's own; the server keeps it as it is."""
Expression = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
"""A CEL expression that yields a boolean."""
Decimals = Annotated[
    str,
    StringConstraints(pattern=_DECIMAL, max_length=16),
    Field(json_schema_extra=form(_DECIMAL, 'write a decimal in quotes, e.g. "2.00"')),
]
Timestamp = Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

Generation = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A `metadata.generation`; zero before anybody has looked."""
ResourceValues = Annotated[
    Mapping[Attribute, Annotated[str, StringConstraints(max_length=1024)]], Field(max_length=16)
]
Resources = Annotated[Mapping[Attribute, Globs], Field(max_length=16)]
"""Attribute of the resource -> globs, one of which must match."""

LABEL_VALUE: Final = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY, min_length=1, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE, max_length=63)]


def span(shortest: str, longest: str) -> Any:
    """A duration between two bounds, checked by the API server and again when parsed."""
    low, high = duration.seconds(shortest), duration.seconds(longest)

    def check(text: str) -> str:
        if not low <= duration.seconds(text) <= high:
            msg = f"must be between {shortest} and {longest}"
            raise ValueError(msg)
        return text

    remedy = f"write a whole number and s, m or h, between {shortest} and {longest}"
    bounds = rule(
        f"self.matches(r'{duration.PATTERN}') && duration(self) >= duration('{shortest}')"
        f" && duration(self) <= duration('{longest}')",
        remedy,
    )
    return Annotated[
        str,
        StringConstraints(pattern=duration.PATTERN, max_length=7),
        AfterValidator(check),
        Field(json_schema_extra=validations(bounds)),
    ]


def amount(text: str) -> Decimal:
    """The exact value of a decimal string."""
    return Decimal(text)


Cpu = Annotated[
    str,
    StringConstraints(pattern=_CPU, max_length=7),
    Field(json_schema_extra=form(_CPU, "write cores or thousandths of one, e.g. 1, 0.5 or 500m")),
]
Bytes = Annotated[
    str,
    StringConstraints(pattern=_BYTES, max_length=11),
    Field(json_schema_extra=form(_BYTES, "write a whole number and Ki, Mi or Gi, e.g. 512Mi")),
]


class Quantities(Model):
    """Amounts of compute."""

    cpu: Cpu | None = None
    """Processor time in cores (`1`, `0.5`) or thousandths (`500m`)."""
    memory: Bytes | None = None
    """Memory, in Ki, Mi or Gi."""
    ephemeral_storage: Annotated[Bytes | None, Field(alias="ephemeral-storage")] = None
    """Local disk for the workspace, in Ki, Mi or Gi."""


class Compute(Model):
    """What the agent container may use."""

    requests: Quantities = Quantities()
    """What the scheduler sets aside; an amount left out is taken from the limits."""
    limits: Quantities = Quantities()
    """What the container never exceeds; an amount left out gets the chart's default."""


class ApprovalPolicy(Model):
    """When people must agree, and how many."""

    quorum: Annotated[int, Field(ge=1, le=5)] = 1
    """How many people have to approve the same digest."""
    expires: span("1m", "24h") = "30m"  # type: ignore[valid-type]
    """How long a request waits; silence is denial."""
