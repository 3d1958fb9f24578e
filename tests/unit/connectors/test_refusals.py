"""Every way to present the wrong thing has its code, spends nothing and sends nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standin import Holder

from doorward.tokens import capability, jwks, proof
from doorward.tokens.keys import SigningKeys

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/capability/refused.json").read_text())
COMMENT = {"owner": "acme", "repo": "web", "number": 7, "body": "Found it: the hinge."}


def _part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _header(token: str) -> dict[str, Any]:
    return jwt.get_unverified_header(token)


def _claims(token: str) -> str:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def _signed(rig: Any, header: dict[str, Any], claims: str) -> str:
    text = f"{_part(json.dumps(header))}.{_part(claims)}"
    signature = rig.broker.signing.current.sign(text.encode())
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _stranger(rig: Any, _: str) -> str:
    rig.broker.signing = SigningKeys((Ed25519PrivateKey.generate(),))
    return rig.broker.mint(rig.broker.permit("code", "issue.comment", COMMENT), rig.holder.thumbprint)


def _hs256(rig: Any, token: str) -> str:
    public = jwks.of(rig.broker.signing.current.public_key())["x"]
    header = {**_header(token), "alg": "HS256"}
    return jwt.encode(json.loads(_claims(token)), public.encode() * 2, "HS256", headers=header)


def _with_header(**more: Any) -> Callable[[Any, str], str]:
    return lambda rig, token: _signed(rig, {**_header(token), **more}, _claims(token))


FORGERS: dict[str, Callable[[Any, str], str]] = {
    "stranger": _stranger,
    "padded": lambda _, token: token + "==",
    "space": lambda _, token: f"{token} {token}",
    "alg-none": lambda _, token: (
        f"{_part(json.dumps({**_header(token), 'alg': 'none'}))}.{token.split('.')[1]}."
    ),
    "alg-hs256": _hs256,
    "duplicate": lambda rig, token: _signed(
        rig, _header(token), _claims(token)[:-1] + ',"action":"issue.comment"}'
    ),
    "jwk": _with_header(jwk=jwks.of(Ed25519PrivateKey.generate().public_key())),
    "jku": _with_header(jku="https://evil.example/jwks.json"),
    "crit": _with_header(crit=["b64"], b64=False),
    "proof": lambda rig, token: rig.holder.prove(b"", token),
}


def _minted(rig: Any, changes: dict[str, Any]) -> str:
    of_permit = {name: changes[name] for name in ("audience", "caveats") if name in changes}
    of_token = {name: changes[name] for name in ("issuer",) if name in changes}
    if "now" in changes:
        of_token["now"] = int(time.time()) + changes["now"]
    permit = rig.broker.permit("code", "issue.comment", COMMENT, **of_permit)
    return rig.broker.mint(permit, rig.holder.thumbprint, **of_token)


def _proved(rig: Any, kind: str, body: bytes, token: str) -> str:
    wrong: dict[str, dict[str, Any]] = {
        "no-ath": {"capability": None},
        "other-ath": {"capability": "x" + token},
        "other-body": {"body": body + b" "},
        "other-audience": {"audience": "doorward-broker"},
        "other-target": {"target": "/v1/actions?x=1"},
        "other-method": {"method": "PUT"},
        "old": {"now": time.time() - 31},
    }
    holder = Holder() if kind == "other-key" else rig.holder
    return holder.prove(body, token, **wrong.get(kind, {}))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
async def test_what_does_not_fit_is_refused(rig: Any, vector: dict[str, Any]) -> None:
    """Each vector gets its code, and neither broker nor upstream hears of it."""
    document = {"connector": "code", "action": "issue.comment", "args": COMMENT, "attachments": []}
    document |= {"args": vector.get("args", COMMENT), **vector.get("body", {})}
    body = vector.get("raw", json.dumps(document)).encode()
    token = _minted(rig, vector.get("mint", {}))
    if "token" in vector:
        token = FORGERS[vector["token"]](rig, token)
    headers = {"Content-Type": "application/json", capability.HEADER: token}
    headers[proof.HEADER] = _proved(rig, vector.get("proof", "right"), body, token)
    if vector.get("present") == "none":
        del headers[capability.HEADER]
    if vector.get("proof") == "none":
        del headers[proof.HEADER]

    if vector.get("proof") == "used":
        async with rig.http.post(f"{rig.url}/v1/actions", data=body, headers=headers) as response:
            assert response.status == 200
        rig.forge.seen.clear()
        rig.broker.calls.clear()
    async with rig.http.post(f"{rig.url}/v1/actions", data=body, headers=headers) as response:
        problem = await response.json(content_type=None)

    assert problem["code"] == vector["code"], problem
    assert rig.forge.seen == []
    assert not {"/v1/redemptions", "/v1/outcomes"} & set(rig.broker.paths())


async def test_the_vectors_fail_for_their_own_reason(rig: Any) -> None:
    """The call that all vectors change in one point is itself carried out."""
    status, _ = await rig.act()

    assert (status, len(rig.forge.comments)) == (200, 1)


async def test_a_stranger_cannot_make_the_connector_ask_the_broker(rig: Any) -> None:
    """Twenty capabilities of unknown keys cause at most one look at the key set."""
    before = rig.broker.paths().count("/.well-known/jwks.json")
    body, token = rig.order()
    forged = FORGERS["stranger"](rig, token)

    for _ in range(20):
        await rig.post(body, forged)

    assert rig.broker.paths().count("/.well-known/jwks.json") - before <= 1
