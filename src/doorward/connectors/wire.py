"""What a door sends to a connector and what it gets back, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from doorward.core import strictjson
from doorward.core.action import Attachment
from doorward.core.strictjson import Json, JsonObject
from doorward.errors import Code, Refusal

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request; larger is refused, never half-inspected."""

_MEMBERS: Final = frozenset({"connector", "action", "args", "attachments"})
_MAX_REFERENCES: Final = 100
_MAX_ID: Final = 256
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Asked:
    """The body of a request, read but not yet believed."""

    connector: str
    action: str
    args: JsonObject
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Something upstream that the action made or saw, e.g. `issue` 7."""

    kind: str
    id: str
    state: str | None = None
    """`open` or `closed`, where the upstream says so: what a role may hold open is counted by it."""

    def document(self) -> dict[str, str]:
        """As it travels."""
        plain = {"kind": self.kind, "id": self.id}
        return plain if self.state is None else {**plain, "state": self.state}


def reportable(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Those that the broker's ledger has room for: the first 100, none with an id above 256 characters."""
    return tuple(each for each in references if len(each.id) <= _MAX_ID)[:_MAX_REFERENCES]


def parse(body: bytes) -> Asked:
    """The request, if it has exactly the members of the form. Raises `Refusal(malformed)`."""
    found = strictjson.load_object(body, max_bytes=MAX_BODY)
    if set(found) != _MEMBERS:
        raise _malformed("the members must be connector, action, args and attachments")
    connector, action, args = found["connector"], found["action"], found["args"]
    if not isinstance(connector, str) or not isinstance(action, str):
        raise _malformed("connector and action must be text")
    if not isinstance(args, Mapping):
        raise _malformed("args must be an object")
    return Asked(connector, action, args, _attachments(found["attachments"]))


def _attachments(value: Json) -> tuple[Attachment, ...]:
    if not isinstance(value, list):
        raise _malformed("attachments must be a list")
    return tuple(_attachment(item) for item in value)


def _attachment(value: Json) -> Attachment:
    if not isinstance(value, Mapping) or set(value) != {"name", "sha256", "size"}:
        raise _malformed("an attachment has exactly name, sha256 and size")
    name, sha256, size = value["name"], value["sha256"], value["size"]
    if not isinstance(name, str) or not isinstance(sha256, str) or not _SHA256.match(sha256):
        raise _malformed("an attachment's name must be text and its sha256 64 hex digits")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise _malformed("an attachment's size must be a number of bytes")
    return Attachment(name, sha256, size)


def _malformed(detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, allowed="{connector, action, args, attachments}")
