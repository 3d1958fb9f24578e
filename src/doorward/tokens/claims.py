"""What a capability says. One shape, written by `mint` and read by `capability`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from doorward.core.action import Resource
from doorward.core.strictjson import Json
from doorward.errors import Code
from doorward.tokens.jws import Form

LIFETIME: Final = 60
"""Seconds a capability lives at most."""

BROKER: Final = "broker"
"""Subject of the capabilities that the broker mints for itself, to read facts. No UID of a task is this."""

SKEW: Final = 5
"""Seconds two clocks may differ."""

FORM: Final = Form(
    typ="doorward-capability+jwt",
    code=Code.CAPABILITY_INVALID,
    claims={
        "iss": str,
        "aud": str,
        "sub": str,
        "act": dict,
        "jti": str,
        "iat": int,
        "nbf": int,
        "exp": int,
        "action": str,
        "connector": str,
        "resource": dict,
        "digest": str,
        "policy": str,
        "epoch": str,
        "grant": str,
        "caveats": dict,
        "cnf": dict,
        "decision": str,
        "evt": str,
    },
    optional=frozenset({"grant"}),
)


@dataclass(frozen=True, slots=True)
class Capability:
    """A verified capability: the signed yes to one action, once."""

    issuer: str
    audience: str
    subject: str
    """UID of the task."""
    actor: Mapping[str, Json]
    """`task`, `namespace`, `role` and `requestedBy`, in words."""
    id: str
    """`jti`; consumed by (issuer, id), never by the token's text."""
    issued_at: int
    expires_at: int
    action: str
    connector: str
    resource: Resource
    digest: str
    policy: str
    epoch: str
    caveats: Mapping[str, Json]
    key_thumbprint: str
    """`cnf.jkt`: only the holder of this key may present it (RFC 7800, RFC 9449)."""
    decision: str
    event: str
    """Hash of the ledger's decision event."""
    grant: str | None = None
    """UID of the Grant that people agreed to; None where nobody had to."""
