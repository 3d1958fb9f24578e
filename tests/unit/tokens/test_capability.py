"""A capability has one reading, one receiver and one minute."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from doorward.core import digest
from doorward.core.decision import Permit
from doorward.errors import Code, Refusal, SealBroken
from doorward.tokens import capability, jws
from doorward.tokens.capability import Expectation
from doorward.tokens.keys import SigningKeys

NOW = 1_800_000_000
ISSUER = "https://broker.test"
TYP = "doorward-capability+jwt"


def _claims(token: str) -> dict[str, Any]:
    return dict(json.loads(jws.decode(token.split(".")[1])))


def test_what_is_minted_is_what_is_read(token: str, expected: Expectation, permit: Permit) -> None:
    """The reader sees the permitted action, its digest and the key that may present it."""
    found = capability.read(token, expected, NOW)

    assert found.action == "issue.comment"
    assert found.resource == permit.action.resource
    assert found.digest == digest.of(permit.action)
    assert found.subject == "uid-1"
    assert found.key_thumbprint == "thumb"
    assert found.expires_at - found.issued_at == 60


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-6, Code.CAPABILITY_INVALID), (-5, None), (0, None), (59, None), (60, Code.CAPABILITY_EXPIRED)],
)
def test_the_minute(token: str, expected: Expectation, seconds: int, code: Code | None) -> None:
    """Valid from five seconds of skew before until, and not at, the sixtieth second."""
    try:
        capability.read(token, expected, NOW + seconds)
        found = None
    except Refusal as refusal:
        found = refusal.code

    assert found == code


GONE: Any = object()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"aud": "connector:other"}, id="another connector"),
        pytest.param({"iss": "https://elsewhere.test"}, id="another issuer"),
        pytest.param({"iss": f"{ISSUER}.evil.example"}, id="issuer by prefix"),
        pytest.param({"exp": GONE}, id="no expiry"),
        pytest.param({"jti": GONE}, id="no id"),
        pytest.param({"exp": NOW + 61}, id="a second too long"),
        pytest.param({"exp": NOW}, id="no life at all"),
        pytest.param({"exp": True}, id="boolean expiry"),
        pytest.param({"iat": str(NOW)}, id="time as text"),
        pytest.param({"aud": ["connector:code"]}, id="list of audiences"),
        pytest.param({"admin": True}, id="unknown claim"),
        pytest.param({"cnf": {}}, id="no key"),
        pytest.param({"cnf": {"jkt": "thumb", "x5t": "y"}}, id="two keys"),
        pytest.param({"resource": {"repository": ["acme/web"]}}, id="list in resource"),
    ],
)
def test_wrong_claims_are_refused(
    token: str, expected: Expectation, keys: SigningKeys, change: dict[str, Any]
) -> None:
    """A properly signed token with any claim missing, added or of another type is invalid."""
    claims = {k: v for k, v in (_claims(token) | change).items() if v is not GONE}
    forged = jws.sign(claims, TYP, keys.current, {"kid": keys.current_id})

    with pytest.raises(Refusal) as caught:
        capability.read(forged, expected, NOW)

    assert caught.value.code == Code.CAPABILITY_INVALID


def _raw(header: dict[str, Any], claims: dict[str, Any], key: Ed25519PrivateKey) -> str:
    signing = f"{jws.encode(json.dumps(header).encode())}.{jws.encode(json.dumps(claims).encode())}"
    return f"{signing}.{jws.encode(key.sign(signing.encode()))}"


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "JWT"},
        {"typ": "doorward-proof+jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "Ed25519"},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/jwks.json"},
        {"x5u": "https://evil.example/cert"},
        {"b64": False},
        {"kid": "unknown"},
        {"kid": 7},
    ],
)
def test_wrong_headers_are_refused(
    token: str, expected: Expectation, keys: SigningKeys, change: dict[str, Any]
) -> None:
    """Another type, algorithm, key or any header that asks to be obeyed is refused (RFC 8725)."""
    header = {"alg": "EdDSA", "typ": TYP, "kid": keys.current_id} | change

    with pytest.raises(Refusal) as caught:
        capability.read(_raw(header, _claims(token), keys.current), expected, NOW)

    assert caught.value.code == Code.CAPABILITY_INVALID


def test_a_key_in_the_header_is_not_believed(token: str, expected: Expectation, keys: SigningKeys) -> None:
    """A token that brings its own key is refused even when its id is pinned."""
    stranger = Ed25519PrivateKey.generate()
    x = jws.encode(stranger.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": x}
    forged = jws.sign(_claims(token), TYP, stranger, {"kid": keys.current_id, "jwk": jwk})

    with pytest.raises(Refusal):
        capability.read(forged, expected, NOW)


def test_a_public_key_is_no_shared_secret(token: str, expected: Expectation, keys: SigningKeys) -> None:
    """HMAC over the public key does not pass for a signature."""
    public = keys.current.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    header = {"kid": keys.current_id, "typ": TYP}
    forged = jwt.encode(_claims(token), public.ljust(32, b"0"), algorithm="HS256", headers=header)

    with pytest.raises(Refusal):
        capability.read(forged, expected, NOW)


def test_others_read_our_tokens_and_we_read_theirs(
    token: str, expected: Expectation, keys: SigningKeys
) -> None:
    """What is signed here is a JWS to an independent library, and what that signs is one to us."""
    public = keys.current.public_key()
    read = jwt.decode(
        token,
        public,
        algorithms=["EdDSA"],
        options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    header = {"kid": keys.current_id, "typ": TYP}
    theirs = jwt.encode(_claims(token), keys.current, algorithm="EdDSA", headers=header)

    assert read == _claims(token)
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", **header}
    assert capability.read(theirs, expected, NOW) == capability.read(token, expected, NOW)


@pytest.mark.parametrize("suffix", ["=", "==", "\n", " ", "A", ".", ".AAAA"])
def test_padded_variants_are_refused(token: str, expected: Expectation, suffix: str) -> None:
    """One token has one text, where libraries accept it with padding behind."""
    with pytest.raises(Refusal):
        capability.read(token + suffix, expected, NOW)


def test_a_duplicate_claim_is_refused(token: str, expected: Expectation, keys: SigningKeys) -> None:
    """The library takes the last of two equal claims; we take none."""
    header = jws.encode(json.dumps({"alg": "EdDSA", "typ": TYP, "kid": keys.current_id}).encode())
    text = json.dumps(_claims(token))
    payload = jws.encode((text[:-1] + ', "aud": "connector:code"}').encode())
    signature = jws.encode(keys.current.sign(f"{header}.{payload}".encode()))

    with pytest.raises(Refusal):
        capability.read(f"{header}.{payload}.{signature}", expected, NOW)


@given(st.data())
def test_one_changed_character_breaks_it(token: str, expected: Expectation, data: st.DataObject) -> None:
    """No single character of the token can be changed, removed or added."""
    place = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.sampled_from("ABCabc019-_.="))
    if token[place] == char:
        return

    with pytest.raises(Refusal):
        capability.read(token[:place] + char + token[place + 1 :], expected, NOW)


@given(text=st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str, expected: Expectation) -> None:
    """No text raises anything but a refusal."""
    with pytest.raises(Refusal):
        capability.read(text, expected, NOW)


def test_only_the_policy_builds_a_permit(permit: Permit) -> None:
    """Without the seal there is no Permit, and mint takes nothing else."""
    fields = {f.name: getattr(permit, f.name) for f in dataclasses.fields(permit)}

    with pytest.raises(SealBroken):
        Permit(**{**fields, "seal": None})
    with pytest.raises(SealBroken):
        Permit(**{**fields, "seal": object()})


def test_a_permit_is_not_changed_in_the_copying(permit: Permit) -> None:
    """A copy with another action in it is no permit: the seal is not handed on."""
    other = dataclasses.replace(permit.action, name="issue.close")

    with pytest.raises(SealBroken):
        dataclasses.replace(permit, action=other)
