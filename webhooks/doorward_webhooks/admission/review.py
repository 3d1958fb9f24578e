"""AdmissionReview (admission.k8s.io/v1) in and out: read strictly, answered always.

A request that cannot be read in exactly one way is denied. The object itself stays raw JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from doorward.core import strictjson
from doorward.errors import Code, Refusal

MAX_BYTES: Final = 8 * 1024 * 1024
"""Twice the largest object that the API server stores by default, and what surrounds it."""
_MAX_DEPTH: Final = 48
_VERSION: Final = "admission.k8s.io/v1"
_MAX_CAUSES: Final = 40

Patch: TypeAlias = Sequence[Mapping[str, Any]]
"""Changes to the object, as operations of a JSON Patch (RFC 6902)."""


class Operation(StrEnum):
    """What is about to happen."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as the API server authenticated them."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Review:
    """One question of the API server."""

    uid: str
    operation: Operation
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: User
    object: Mapping[str, Any] | None
    """What would be stored, or the options of a CONNECT; None for a DELETE."""
    old: Mapping[str, Any] | None
    """What is stored now; None for a CREATE."""


class Denied(Refusal):
    """A no with the places that it is about: `(JSON pointer, sentence)`."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        rule: str | None = None,
        allowed: str | None = None,
        ask: str | None = None,
        causes: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(code, detail, rule=rule, allowed=allowed, ask=ask)
        self.causes = tuple(causes)


def envelope(body: bytes) -> tuple[str, Mapping[str, Any]]:
    """The uid to answer to, and the request. Raises `Refusal(malformed)` when there is none to answer."""
    raw = strictjson.loads(body, max_bytes=MAX_BYTES, max_depth=_MAX_DEPTH)
    if not isinstance(raw, Mapping) or raw.get("apiVersion") != _VERSION:
        raise _malformed(f"not an AdmissionReview of {_VERSION}")
    request = raw.get("request")
    if raw.get("kind") != "AdmissionReview" or not isinstance(request, Mapping):
        raise _malformed("not an AdmissionReview with a request")
    uid = request.get("uid")
    if not isinstance(uid, str) or not uid:
        raise _malformed("request.uid is not a text")
    return uid, request


def read(request: Mapping[str, Any]) -> Review:
    """The question. Raises `Refusal(malformed)` that names the member which is not what it must be."""
    resource = _mapping(request, "resource")
    return Review(
        uid=_text(request, "uid"),
        operation=_operation(_text(request, "operation")),
        group=_text(resource, "group"),
        resource=_text(resource, "resource"),
        subresource=_text(request, "subResource"),
        namespace=_text(request, "namespace"),
        name=_text(request, "name"),
        user=_user(_mapping(request, "userInfo")),
        object=_optional(request, "object"),
        old=_optional(request, "oldObject"),
    )


def allowed(uid: str, patch: Patch = ()) -> dict[str, Any]:
    """A yes, with the changes that go with it."""
    if not patch:
        return _response({"uid": uid, "allowed": True})
    encoded_patch = base64.b64encode(json.dumps(patch).encode()).decode()
    return _response({"uid": uid, "allowed": True, "patchType": "JSONPatch", "patch": encoded_patch})


def denied(uid: str, refusal: Refusal) -> dict[str, Any]:
    """A no: the sentence for people, and each place for programs."""
    causes = [
        {"reason": refusal.code.reason, "field": pointer, "message": text}
        for pointer, text in _causes(refusal)[:_MAX_CAUSES]
    ]
    status = {
        "status": "Failure",
        "code": refusal.status,
        "reason": refusal.code.reason,
        "message": sentence(refusal),
        "details": {"causes": causes},
    }
    return _response({"uid": uid, "allowed": False, "status": status})


def sentence(refusal: Refusal) -> str:
    """All of a refusal in one text: code, detail, each place, rule, what is allowed, how to ask."""
    causes = _causes(refusal)
    lines = [f"{refusal.code.reason}: {refusal.detail}", *(f"  {text}" for _, text in causes[:_MAX_CAUSES])]
    if len(causes) > _MAX_CAUSES:
        lines.append(f"  and {len(causes) - _MAX_CAUSES} more")
    tail = {"rule": refusal.rule, "allowed": refusal.allowed, "ask": refusal.ask}
    lines += [f"{name}: {text}" for name, text in tail.items() if text]
    return ("\n" if causes else "; ").join(lines)


def encoded(answer: Mapping[str, Any]) -> bytes:
    """The bytes of an answer."""
    return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()


def _causes(refusal: Refusal) -> tuple[tuple[str, str], ...]:
    return refusal.causes if isinstance(refusal, Denied) else ()


def _response(response: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _VERSION, "kind": "AdmissionReview", "response": response}


def _operation(text: str) -> Operation:
    if text not in set(Operation):
        raise _malformed("request.operation is none that is known")
    return Operation(text)


def _user(raw: Mapping[str, Any]) -> User:
    name = _text(raw, "username")
    groups, extra = raw.get("groups", []), raw.get("extra", {})
    if not name or not _texts(groups):
        raise _malformed("request.userInfo has no username, or groups that are not texts")
    if not isinstance(extra, Mapping) or not all(_texts(values) for values in extra.values()):
        raise _malformed("request.userInfo.extra is not lists of texts")
    return User(name, _text(raw, "uid"), tuple(groups), {key: tuple(values) for key, values in extra.items()})


def _texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(item, str) for item in found)


def _text(raw: Mapping[str, Any], name: str) -> str:
    """A text; the API server leaves empty ones out."""
    found = raw.get(name, "")
    if not isinstance(found, str):
        raise _malformed(f"{name} is not a text")
    return found


def _mapping(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = raw.get(name)
    if not isinstance(found, Mapping):
        raise _malformed(f"request.{name} is not an object")
    return found


def _optional(raw: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return None if raw.get(name) is None else _mapping(raw, name)


def _malformed(detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, allowed=f"an AdmissionReview of {_VERSION}")
