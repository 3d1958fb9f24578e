"""Proof of possession: each request of a door is signed by its session's key.

After RFC 9449 (DPoP), with two changes: the body's hash is signed too, and the receiver is named by
audience and path, so that what a proxy or a Service address does to the authority does not matter.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.core import ids
from doorward.errors import Code, Refusal
from doorward.tokens import jwks, jws

HEADER: Final = "Doorward-Proof"
WINDOW: Final = 30
"""Seconds a proof's time may be off."""

_FORM: Final = jws.Form(
    typ="doorward-proof+jwt",
    code=Code.PROOF_INVALID,
    claims={"aud": str, "htm": str, "htu": str, "iat": int, "jti": str, "bh": str, "sid": str, "ath": str},
    optional=frozenset({"sid", "ath"}),
)


@dataclass(frozen=True, slots=True)
class Call:
    """The request that a proof is about."""

    audience: str
    method: str
    target: str
    """Raw path with query, as on the request line."""
    body: bytes
    capability: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified proof."""

    thumbprint: str
    """Of the key that signed."""
    session: str | None
    nonce: str


def sign(key: Ed25519PrivateKey, call: Call, now: float, session: str | None = None) -> str:
    """The value of the proof header for this call."""
    claims: dict[str, str | int] = {
        "aud": call.audience,
        "htm": call.method,
        "htu": call.target,
        "iat": int(now),
        "jti": ids.uuid7(),
        "bh": _hash(call.body),
    }
    if session is not None:
        claims["sid"] = session
    if call.capability is not None:
        claims["ath"] = _hash(call.capability.encode())
    return jws.sign(claims, _FORM.typ, key, {"jwk": jwks.of(key.public_key())})


def verify(token: str | None, call: Call, now: float) -> Proof:
    """The proof, if it is about exactly this call. Raises `Refusal(proof_invalid)`.

    A nonce seen before is for the caller to refuse (see `Nonces`).
    """
    if token is None:
        raise Refusal(Code.PROOF_INVALID, f"the {HEADER} header is missing")
    header, claims = jws.read(token, _FORM, lambda found: jwks.read(found.get("jwk")))
    expected = {"aud": call.audience, "htm": call.method, "htu": call.target, "bh": _hash(call.body)}
    if call.capability is not None:
        expected["ath"] = _hash(call.capability.encode())
    for name, value in expected.items():
        if claims.get(name) != value:
            raise Refusal(Code.PROOF_INVALID, f"the proof's {name} is about another request")
    if abs(now - _integer(claims["iat"])) > WINDOW:
        raise Refusal(Code.PROOF_INVALID, f"the proof's time is more than {WINDOW} s off")
    session = claims.get("sid")
    return Proof(
        thumbprint=jwks.thumbprint(jwks.read(header["jwk"])),
        session=session if isinstance(session, str) else None,
        nonce=str(claims["jti"]),
    )


class Nonces:
    """Remembers each nonce for as long as its proof could be accepted; bounded, refuses when full."""

    def __init__(self, capacity: int = 200_000) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._capacity = capacity

    def use(self, proof: Proof, now: float) -> None:
        """Take the nonce. Raises `Refusal`: `proof_invalid` if used, `rate_limited` if full."""
        while self._seen and next(iter(self._seen.values())) < now - 2 * WINDOW - 1:
            self._seen.popitem(last=False)
        key = (proof.thumbprint, proof.nonce)
        if key in self._seen:
            raise Refusal(Code.PROOF_INVALID, "the proof was used before")
        if len(self._seen) >= self._capacity:
            raise Refusal(Code.RATE_LIMITED, "too many proofs in the window", ask="try again later")
        self._seen[key] = now


def _hash(data: bytes) -> str:
    return jws.encode(hashlib.sha256(data).digest())


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
