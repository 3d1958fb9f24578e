"""The one strict reader of signed tokens (JWS compact, RFC 7515; EdDSA, RFC 8037; RFC 8725).

Stricter than the library underneath, which accepts padded variants of the same token, takes the last
of two equal keys and does not look at `typ`: each of these lets one token have two readings. What it would
read a second time has been read here, so it is asked for the signature alone.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from doorward.core import strictjson
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.tokens.made import Made

ALGORITHM: Final = "EdDSA"
_EDDSA: Final = OKPAlgorithm()
MAX_BYTES: Final = 16 * 1024
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")
_HEADERS: Final = frozenset({"alg", "typ", "kid", "jwk"})

Header = Mapping[str, Json]
Claims = Mapping[str, Json]
KeyOf = Callable[[Header], Ed25519PublicKey]
"""Finds the key by the header. Raises `Refusal` when there is none."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind of token looks like: its `typ`, the code of a no, its claims and their types."""

    typ: str
    code: Code
    claims: Mapping[str, type | tuple[type, ...]]
    optional: frozenset[str] = frozenset()


def sign(claims: Claims, typ: str, key: Ed25519PrivateKey, extra: Header | None = None) -> str:
    """The compact serialisation of `claims`."""
    return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers={"typ": typ, **(extra or {})})


def read(token: str, form: Form, key_of: KeyOf, made: Made | None = None) -> tuple[Header, Claims]:
    """Header and claims of a token that has exactly this form and a valid signature.

    Time is not checked here: what expiry means belongs to the kind of token. A signature in `made` is
    not verified again. Raises `Refusal` with the form's code.
    """
    head, payload, signature = _parts(token, form)
    header = _header(head, form)
    key = key_of(header)
    known = made is not None and made.holds(token, key)
    if not known and not _EDDSA.verify(token.rpartition(".")[0], key, signature):
        raise Refusal(form.code, "the signature does not hold")
    claims = _object(payload, form)
    _check_claims(claims, form)
    return header, claims


def _parts(token: str, form: Form) -> list[bytes]:
    """Header, payload and signature, decoded."""
    if len(token) > MAX_BYTES or not _SHAPE.match(token):
        raise Refusal(form.code, "not a compact JWS without padding")
    texts = token.split(".")
    found = [decode(text) for text in texts]
    if [encode(part) for part in found] != texts:
        raise Refusal(form.code, "a part of the token is not canonical base64url")
    return found


def _header(data: bytes, form: Form) -> dict[str, Json]:
    header = _object(data, form)
    if header.get("alg") != ALGORITHM or header.get("typ") != form.typ:
        raise Refusal(form.code, f"the header must say alg {ALGORITHM} and typ {form.typ}")
    if unknown := sorted(set(header) - _HEADERS):
        raise Refusal(form.code, f"unknown header members: {', '.join(unknown)}")
    if not isinstance(header.get("kid", ""), str):
        raise Refusal(form.code, "a key id is a text")
    return header


def _object(data: bytes, form: Form) -> dict[str, Json]:
    try:
        return strictjson.load_object(data, max_bytes=MAX_BYTES)
    except Refusal as refusal:
        raise Refusal(form.code, refusal.detail) from None


def _check_claims(claims: Claims, form: Form) -> None:
    if unknown := sorted(set(claims) - set(form.claims)):
        raise Refusal(form.code, f"unknown claims: {', '.join(unknown)}")
    if missing := sorted(set(form.claims) - form.optional - set(claims)):
        raise Refusal(form.code, f"missing claims: {', '.join(missing)}")
    for name, value in claims.items():
        expected: Any = form.claims[name]
        if isinstance(value, bool) or not isinstance(value, expected):
            raise Refusal(form.code, f"claim {name} has the wrong type")


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Bytes of unpadded base64url; the caller has checked the alphabet."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
