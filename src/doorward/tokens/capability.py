"""Reading a capability: the same strict checks in the connector and in the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.errors import Code, Refusal
from doorward.tokens import jws
from doorward.tokens.claims import FORM, LIFETIME, SKEW, Capability
from doorward.tokens.made import Made

HEADER: Final = "Doorward-Capability"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a reader knows beforehand."""

    issuer: str
    audience: str
    keys: Mapping[str, Ed25519PublicKey]
    """Key id -> key; pinned, never fetched from where a header points."""
    made: Made | None = None
    """What the reader has signed itself."""


def read(token: str, expected: Expectation, now: float) -> Capability:
    """The capability, or a `Refusal` (`capability_invalid`, `capability_expired`)."""
    _, claims = jws.read(token, FORM, lambda header: _key(header, expected), expected.made)
    found = _capability(claims)
    if found.issuer != expected.issuer:
        raise Refusal(Code.CAPABILITY_INVALID, "the capability is from another issuer")
    if found.audience != expected.audience:
        raise Refusal(
            Code.CAPABILITY_INVALID,
            "the capability is for another connector",
            allowed=f"a capability for {found.audience} is spent there",
        )
    _check_time(claims, now)
    return found


def _key(header: jws.Header, expected: Expectation) -> Ed25519PublicKey:
    key = expected.keys.get(str(header.get("kid")))
    if key is None or "jwk" in header:
        raise Refusal(Code.CAPABILITY_INVALID, "the capability is not signed by a pinned key")
    return key


def _check_time(claims: Any, now: float) -> None:
    if not 0 < claims["exp"] - claims["iat"] <= LIFETIME:
        raise Refusal(Code.CAPABILITY_INVALID, f"a capability lives at most {LIFETIME} s")
    if now < claims["nbf"] - SKEW:
        raise Refusal(Code.CAPABILITY_INVALID, "the capability is not valid yet")
    if now >= claims["exp"]:
        raise Refusal(
            Code.CAPABILITY_EXPIRED,
            "the capability has expired",
            allowed=f"use within {LIFETIME} s of the decision",
            ask="ask for the action again",
        )


def _capability(claims: Any) -> Capability:
    thumbprint = claims["cnf"].get("jkt")
    if set(claims["cnf"]) != {"jkt"} or not isinstance(thumbprint, str):
        raise Refusal(Code.CAPABILITY_INVALID, "cnf must hold exactly jkt")
    if any(isinstance(v, bool) or not isinstance(v, str | int) for v in claims["resource"].values()):
        raise Refusal(Code.CAPABILITY_INVALID, "a resource attribute is neither text nor integer")
    return Capability(
        issuer=claims["iss"],
        audience=claims["aud"],
        subject=claims["sub"],
        actor=claims["act"],
        id=claims["jti"],
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        action=claims["action"],
        connector=claims["connector"],
        resource=claims["resource"],
        digest=claims["digest"],
        policy=claims["policy"],
        epoch=claims["epoch"],
        caveats=claims["caveats"],
        key_thumbprint=thumbprint,
        decision=claims["decision"],
        event=claims["evt"],
        grant=claims.get("grant"),
    )
