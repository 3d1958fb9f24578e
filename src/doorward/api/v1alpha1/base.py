"""What all kinds share: how a model behaves, the metadata we read, and `parse`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from doorward.core import digest
from doorward.errors import Code, Refusal

GROUP: Final = "doorward.dev"
VERSION: Final = "v1alpha1"


class Model(BaseModel):
    """A part of a spec: frozen, camelCase outside, unknown members refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Observed(Model):
    """A part that a server wrote: members that we do not know are passed over."""

    model_config = ConfigDict(extra="ignore")


class ObjectMeta(Observed):
    """The metadata that Doorward reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date", 0, "Time since creation.")


def reason_of(condition: str) -> Column:
    """A column with the reason of one condition."""
    path = f'.status.conditions[?(@.type=="{condition}")].reason'
    return Column("Reason", path, description=f"Reason of the condition {condition}.")


def state_of(condition: str, priority: int = 0) -> Column:
    """A column with the status of one condition."""
    path = f'.status.conditions[?(@.type=="{condition}")].status'
    return Column(condition, path, priority=priority, description=f"Status of the condition {condition}.")


@dataclass(frozen=True, slots=True)
class Kind:
    """How the API server serves a kind."""

    plural: str
    singular: str
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    validations: tuple[Mapping[str, str], ...] = ()
    """CEL rules on the whole object."""
    namespaced: bool = True


class Resource(Observed):
    """An object of the group. The members of a spec are closed, those of metadata and status are not."""

    kind_info: ClassVar[Kind]

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()

    @cached_property
    def content_digest(self) -> str:
        """Digest of UID and spec: what a decision was based on. Computed once per parsed object."""
        content = self.model_dump(mode="json", by_alias=True, include={"spec"})
        return digest.of_json({"uid": self.metadata.uid, **content})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A changed copy; it does not inherit the digest of the original."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("content_digest", None)
        return copied

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """The model of an object. Raises `Refusal(malformed)` that lists every fault with its path."""
        expected = {"apiVersion": f"{GROUP}/{VERSION}", "kind": cls.__name__}
        found = {key: raw.get(key, value) for key, value in expected.items()}
        if found != expected:
            raise Refusal(Code.MALFORMED, f"{found} is not {expected}", allowed=str(expected))
        try:
            return cls.model_validate({**raw, **expected})
        except ValidationError as error:
            raise Refusal(
                Code.MALFORMED, _sentence(error), allowed=f"what `kubectl explain {cls.__name__}` shows"
            ) from error


def rule(expression: str, message: str) -> dict[str, str]:
    """One `x-kubernetes-validations` entry; the message names the remedy."""
    return {"rule": expression, "message": message}


def validations(*rules: Mapping[str, str]) -> dict[str, Any]:
    """The `json_schema_extra` that carries CEL rules into the CRD."""
    return {"x-kubernetes-validations": [dict(item) for item in rules]}


def ruled(*rules: Mapping[str, str]) -> ConfigDict:
    """The configuration of a model whose instances obey these CEL rules."""
    return ConfigDict(json_schema_extra=validations(*rules))


def immutable(remedy: str) -> dict[str, str]:
    """The rule that a spec never changes."""
    return rule("self == oldSelf", f"the spec cannot be changed: {remedy}")


def depth_of(value: Any) -> int:
    """How many containers lie inside each other."""
    if isinstance(value, Mapping):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def bounded(value: Mapping[str, Any], max_bytes: int, max_depth: int = 16) -> Mapping[str, Any]:
    """The same free JSON. Raises `ValueError` when it is too large or too deep."""
    if depth_of(value) > max_depth:
        msg = f"nested deeper than {max_depth}"
        raise ValueError(msg)
    if len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > max_bytes:
        msg = f"larger than {max_bytes} bytes: pass a reference instead of the content"
        raise ValueError(msg)
    return value


def _sentence(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
