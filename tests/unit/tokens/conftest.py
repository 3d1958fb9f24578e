"""Keys and a permitted action to mint from."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doorward.core.action import Action
from doorward.core.decision import Permit, Principal
from doorward.core.effect import Effect
from doorward.core.permitting import SEAL
from doorward.tokens import keys as keys_module
from doorward.tokens import mint as mint_module
from doorward.tokens.capability import Expectation
from doorward.tokens.keys import SigningKeys

NOW = 1_800_000_000
ISSUER = "https://broker.test"


@pytest.fixture(scope="session")
def keys() -> SigningKeys:
    return keys_module.load([keys_module.generate()])


@pytest.fixture(scope="session")
def door_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def permit() -> Permit:
    return Permit(
        action=Action("code", "issue.comment", {"repository": "acme/web", "issue": 7}, {"body": "hi"}),
        effect=Effect.DRAFT,
        principal=Principal("uid-1", "fix-7", "agents", "helper", "alice"),
        rule="comment",
        policy_hash="sha256:00",
        audience="connector:code",
        seal=SEAL,
    )


@pytest.fixture(scope="session")
def binding() -> mint_module.Binding:
    return mint_module.Binding("cap-1", "dec-1", "sha256:11", "epoch-1", "thumb", NOW)


@pytest.fixture(scope="session")
def token(permit: Permit, binding: mint_module.Binding, keys: SigningKeys) -> str:
    return mint_module.mint(permit, binding, ISSUER, keys)


@pytest.fixture(scope="session", params=["others", "the broker"])
def expected(request: pytest.FixtureRequest, keys: SigningKeys) -> Expectation:
    """What others verify all signatures with, and what the broker reads its own tokens again with."""
    return Expectation(
        ISSUER, "connector:code", keys.public, keys.made if request.param != "others" else None
    )
