"""What the broker signed itself it does not verify again; nothing else gets anything by that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.core.decision import Permit
from doorward.errors import Code, Refusal
from doorward.tokens import capability, mint
from doorward.tokens import keys as keys_module
from doorward.tokens.capability import Expectation
from doorward.tokens.keys import SigningKeys
from doorward.tokens.made import Made
from doorward.tokens.mint import Binding

NOW = 1_800_000_000
ISSUER = "https://broker.test"


def _unsigned(token: str) -> str:
    """The same header and claims under a signature that does not hold."""
    return token.rpartition(".")[0] + "." + "A" * 86


def _refused(token: str, expected: Expectation, now: int = NOW) -> Code:
    with pytest.raises(Refusal) as caught:
        capability.read(token, expected, now)
    return caught.value.code


def test_what_was_signed_here_is_not_verified_again(token: str, keys: SigningKeys) -> None:
    """A signature that does not hold shows it: only the memory lets it pass."""
    forged, made = _unsigned(token), Made()
    expected = Expectation(ISSUER, "connector:code", keys.public, made)

    assert _refused(forged, expected) == Code.CAPABILITY_INVALID

    made.remember(forged, keys.public[keys.current_id])

    assert capability.read(forged, expected, NOW) == capability.read(token, expected, NOW)


def test_minting_is_what_fills_the_memory(permit: Permit, binding: Binding) -> None:
    """The token as it was given out is known, and the same with another signature is not."""
    keys = keys_module.load([keys_module.generate()])
    token = mint.mint(permit, binding, ISSUER, keys)
    key = keys.public[keys.current_id]

    assert keys.made.holds(token, key)
    assert not keys.made.holds(_unsigned(token), key)


def test_reading_fills_nothing(token: str, keys: SigningKeys) -> None:
    """Whoever presents tokens, good or bad, gets none of them remembered."""
    made = Made()
    expected = Expectation(ISSUER, "connector:code", keys.public, made)
    capability.read(token, expected, NOW)
    _refused(_unsigned(token), expected)

    held = [made.holds(text, keys.public[keys.current_id]) for text in (token, _unsigned(token))]

    assert held == [False, False]


def test_a_withdrawn_key_counts_for_nothing(token: str, keys: SigningKeys) -> None:
    """Its id is looked up among the keys of now, whatever was signed with it before."""
    others = keys_module.load([keys_module.generate()])
    expected = Expectation(ISSUER, "connector:code", others.public, keys.made)

    assert _refused(token, expected) == Code.CAPABILITY_INVALID


def test_another_key_under_the_same_id_is_another_key(token: str, keys: SigningKeys) -> None:
    """What is known is known of a key's bytes, not of its name."""
    stranger = Ed25519PrivateKey.generate().public_key()
    expected = Expectation(ISSUER, "connector:code", {keys.current_id: stranger}, keys.made)

    assert _refused(token, expected) == Code.CAPABILITY_INVALID


@pytest.mark.parametrize(
    ("changed", "now", "code"),
    [
        pytest.param({"issuer": "https://elsewhere.test"}, NOW, Code.CAPABILITY_INVALID, id="issuer"),
        pytest.param({"audience": "connector:other"}, NOW, Code.CAPABILITY_INVALID, id="audience"),
        pytest.param({}, NOW - 6, Code.CAPABILITY_INVALID, id="too early"),
        pytest.param({}, NOW + 60, Code.CAPABILITY_EXPIRED, id="expired"),
    ],
)
def test_what_a_known_token_says_is_asked_all_the_same(
    token: str, keys: SigningKeys, changed: dict[str, str], now: int, code: Code
) -> None:
    """The memory stands in for the signature alone."""
    expected = replace(Expectation(ISSUER, "connector:code", keys.public, keys.made), **changed)

    assert _refused(token, expected, now) == code


def test_new_keys_begin_with_nothing(keys: SigningKeys) -> None:
    """A ring that is read again has signed nothing; one that only learns of others' keys goes on."""
    stranger = Ed25519PrivateKey.generate().public_key()

    assert replace(keys, others={"other": stranger}).made is keys.made
    assert keys_module.load([keys_module.generate()]).made is not keys.made


def test_the_oldest_are_forgotten(keys: SigningKeys) -> None:
    """The memory is bounded, and who is forgotten is verified like everybody else."""
    made, key = Made(most=2), keys.public[keys.current_id]
    for token in ("a", "b", "b", "c"):
        made.remember(token, key)

    assert [made.holds(token, key) for token in ("a", "b", "c")] == [False, True, True]
