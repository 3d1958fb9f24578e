"""The digest that ties a decision to exactly one execution.

SHA-256 over the JSON Canonicalization Scheme (RFC 8785) of the action. The broker computes it from
what it evaluated and the connector from what it is about to execute; neither takes it on trust.
"""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from doorward.core import canonical
from doorward.core.action import Action
from doorward.errors import Code, Refusal


def of(action: Action) -> str:
    """`sha256:` and 64 hex digits. Raises `Refusal(malformed)` for values JCS cannot express."""
    return of_json(
        {
            "action": action.name,
            "connector": action.connector,
            "resource": dict(action.resource),
            "args": action.args,
            "attachments": [{"name": a.name, "sha256": a.sha256, "size": a.size} for a in action.attachments],
        }
    )


def of_json(value: Any) -> str:
    """The digest of any JSON document in its canonical form."""
    return "sha256:" + hashlib.sha256(_canonical(value)).hexdigest()


def size_of(value: Any) -> int:
    """Bytes of any JSON document in its canonical form. Raises `Refusal(malformed)`."""
    return len(_canonical(value))


def _canonical(value: Any) -> bytes:
    try:
        return canonical.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise Refusal(Code.MALFORMED, f"no canonical form: {error}") from error
