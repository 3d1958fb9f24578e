"""Public keys as JWK (RFC 7517, RFC 8037) and their thumbprints (RFC 7638)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.tokens import jws

_RAW_BYTES: Final = 32
_TEXT_CHARACTERS: Final = 43
"""Of as many bytes in base64url."""


def of(key: Ed25519PublicKey) -> dict[str, str]:
    """The three members that make an Ed25519 key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": jws.encode(raw)}


def thumbprint(key: Ed25519PublicKey) -> str:
    """base64url SHA-256 over the members in lexical order, without white space."""
    members = of(key)
    text = '{{"crv":"{}","kty":"{}","x":"{}"}}'.format(members["crv"], members["kty"], members["x"])
    return jws.encode(hashlib.sha256(text.encode()).digest())


def read(jwk: Json, code: Code = Code.PROOF_INVALID) -> Ed25519PublicKey:
    """The key a JWK names. Raises `Refusal` for any other kind, or with a private part."""
    if not isinstance(jwk, Mapping) or set(jwk) != {"crv", "kty", "x"}:
        raise Refusal(code, "a jwk has exactly the members crv, kty and x")
    x = jwk["x"]
    if jwk["crv"] != "Ed25519" or jwk["kty"] != "OKP" or not isinstance(x, str):
        raise Refusal(code, "a jwk must be an Ed25519 key")
    key = _key_of(x) if len(x) == _TEXT_CHARACTERS else None
    if key is None:
        raise Refusal(code, "the jwk's x is not 32 canonical bytes")
    return key


@lru_cache(maxsize=1024)
def _key_of(x: str) -> Ed25519PublicKey | None:
    """Each call of a door brings its key along, and it is the same for the door's whole life."""
    raw = jws.decode(x)
    if len(raw) != _RAW_BYTES or jws.encode(raw) != x:
        return None
    return Ed25519PublicKey.from_public_bytes(raw)


def document(keys: Iterable[Ed25519PublicKey]) -> dict[str, object]:
    """The JWK Set that `/.well-known/jwks.json` serves."""
    return {"keys": [{**of(key), "kid": thumbprint(key), "use": "sig", "alg": jws.ALGORITHM} for key in keys]}


def parse_document(document: Json) -> dict[str, Ed25519PublicKey]:
    """Key id -> key of a JWK Set; a key whose id is not its thumbprint is refused."""
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list) or not keys:
        raise Refusal(Code.UNAVAILABLE, "the key set is empty or not a key set")
    found = {}
    for item in keys:
        if not isinstance(item, Mapping):
            raise Refusal(Code.UNAVAILABLE, "the key set holds something that is not a key")
        key = read({name: item.get(name) for name in ("crv", "kty", "x")}, Code.UNAVAILABLE)
        if item.get("kid") != thumbprint(key):
            raise Refusal(Code.UNAVAILABLE, "a key id is not the key's thumbprint")
        found[thumbprint(key)] = key
    return found
