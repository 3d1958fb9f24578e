"""A proof is about one request of one key holder, once."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.errors import Code, Refusal
from doorward.tokens import jwks, proof
from doorward.tokens.proof import Call, Nonces

NOW = 1_800_000_000
CALL = Call("doorward-broker", "POST", "/v1/decisions?x=1", b'{"a":1}', capability="cap")


def test_a_proof_names_its_key_and_session(door_key: Ed25519PrivateKey) -> None:
    """The verified proof carries the key's thumbprint and the session."""
    found = proof.verify(proof.sign(door_key, CALL, NOW, "s-1"), CALL, NOW)

    assert found.thumbprint == jwks.thumbprint(door_key.public_key())
    assert found.session == "s-1"


@pytest.mark.parametrize(
    "change",
    [
        {"audience": "connector:code"},
        {"method": "PUT"},
        {"target": "/v1/decisions?x=2"},
        {"target": "/v1/sessions"},
        {"body": b'{"a":2}'},
        {"capability": "other"},
    ],
)
def test_a_proof_fits_no_other_request(door_key: Ed25519PrivateKey, change: dict[str, object]) -> None:
    """Another receiver, method, path, query, body or capability needs another proof."""
    token = proof.sign(door_key, CALL, NOW)

    with pytest.raises(Refusal) as caught:
        proof.verify(token, dataclasses.replace(CALL, **change), NOW)  # type: ignore[arg-type]

    assert caught.value.code == Code.PROOF_INVALID


@pytest.mark.parametrize(("offset", "good"), [(-31, False), (-30, True), (30, True), (31, False)])
def test_a_proof_is_fresh(door_key: Ed25519PrivateKey, offset: int, good: bool) -> None:
    """Half a minute either way is the most a proof's time may be off."""
    token = proof.sign(door_key, CALL, NOW)
    try:
        proof.verify(token, CALL, NOW + offset)
        accepted = True
    except Refusal:
        accepted = False

    assert accepted == good


def test_no_proof_is_no_proof() -> None:
    """A request without the header is refused."""
    with pytest.raises(Refusal) as caught:
        proof.verify(None, CALL, NOW)

    assert caught.value.code == Code.PROOF_INVALID


def test_a_nonce_is_used_once(door_key: Ed25519PrivateKey) -> None:
    """The same proof a second time is refused for as long as its time would be accepted."""
    nonces = Nonces()
    found = proof.verify(proof.sign(door_key, CALL, NOW), CALL, NOW)
    nonces.use(found, NOW)

    with pytest.raises(Refusal) as caught:
        nonces.use(found, NOW + 60)

    assert caught.value.code == Code.PROOF_INVALID


def test_the_memory_of_nonces_is_bounded(door_key: Ed25519PrivateKey) -> None:
    """When full it refuses rather than forgets; old nonces make room."""
    nonces = Nonces(capacity=1)
    first, second = (proof.verify(proof.sign(door_key, CALL, NOW), CALL, NOW) for _ in range(2))
    nonces.use(first, NOW)

    with pytest.raises(Refusal) as caught:
        nonces.use(second, NOW + 1)
    nonces.use(second, NOW + 62)

    assert caught.value.code == Code.RATE_LIMITED


def test_a_private_jwk_is_refused(door_key: Ed25519PrivateKey) -> None:
    """A key with more members than the public three is not taken."""
    with pytest.raises(Refusal):
        jwks.read({**jwks.of(door_key.public_key()), "d": "AAAA"})


def test_key_sets_round_trip(door_key: Ed25519PrivateKey) -> None:
    """What is published is what a connector pins."""
    public = door_key.public_key()
    found = jwks.parse_document(jwks.document([public]))  # type: ignore[arg-type]

    assert list(found) == [jwks.thumbprint(public)]


def test_a_key_under_another_name_is_refused(door_key: Ed25519PrivateKey) -> None:
    """A key id that is not the key's thumbprint would let one key pass for another."""
    document = jwks.document([door_key.public_key()])
    document["keys"][0]["kid"] = "chosen"  # type: ignore[index]

    with pytest.raises(Refusal):
        jwks.parse_document(document)  # type: ignore[arg-type]
