"""The broker's signing keys: the newest signs, all of them verify until the last token has expired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from doorward.errors import ConfigError
from doorward.tokens import jwks
from doorward.tokens.made import Made


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Private keys, newest first; never empty."""

    keys: tuple[Ed25519PrivateKey, ...]
    others: Mapping[str, Ed25519PublicKey] = field(default_factory=dict)
    """Key id -> public key of those that others sign with for the same issuer."""
    made: Made = field(default_factory=Made, compare=False)
    """What was signed with `keys`; other keys begin with an empty one."""
    current_id: str = field(init=False)
    """Thumbprint of the signing key."""
    public: Mapping[str, Ed25519PublicKey] = field(init=False)
    """Key id -> public key, of all keys."""

    def __post_init__(self) -> None:
        own = {jwks.thumbprint(key): key for key in (private.public_key() for private in self.keys)}
        object.__setattr__(self, "current_id", next(iter(own)))
        object.__setattr__(self, "public", {**self.others, **own})

    @property
    def current(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return self.keys[0]

    def __repr__(self) -> str:
        return f"SigningKeys({', '.join(self.public)})"


def generate() -> bytes:
    """A new private key as PKCS#8 PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load(pems: list[bytes]) -> SigningKeys:
    """Keys from PEM texts, newest first. Raises `ConfigError` for anything but Ed25519."""
    loaded = []
    for pem in pems:
        key = load_pem_private_key(pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            msg = "a signing key is not an Ed25519 key"
            raise ConfigError(msg)
        loaded.append(key)
    if not loaded:
        msg = "there is no signing key"
        raise ConfigError(msg)
    return SigningKeys(tuple(loaded))
