"""Signing keys of several brokers: each signs with its own, and every one of them knows all public ones.

Private keys never leave their broker. A public key reaches the others through the ledger, in a statement
that is signed with the key that epochs are signed with, which all of them hold: whoever can write the
database still cannot add a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from doorward.broker.keyring import RETIRED_SECONDS, KeyRing
from doorward.core.clock import Clock
from doorward.core.strictjson import Json
from doorward.errors import Code, Refusal
from doorward.ledger import Ledger, PublishedKey
from doorward.telemetry import log
from doorward.tokens import jwks, jws
from doorward.tokens.keys import SigningKeys

LEARN_SECONDS: Final = 5.0
"""How often each broker looks for the others' keys."""
_RENEW_SECONDS: Final = 3600.0
_FORM: Final = jws.Form(
    typ="doorward-key+jwt",
    code=Code.UNAVAILABLE,
    claims={"iss": str, "jwk": dict, "exp": int},
)
_LOG: Final = log.get(__name__)


@dataclass
class KeyShare:
    """Publishes this broker's keys and learns those of the others."""

    ledger: Ledger
    keyring: KeyRing
    issuer: str
    clock: Clock
    _known_at: float = field(default=float("-inf"))
    _renewed: float = field(default=float("-inf"))

    async def publish(self) -> None:
        """Tell the others. Raises `Refusal(unavailable)`."""
        now = self.clock()
        for kid, key in self.keyring.own.public.items():
            until = now + RETIRED_SECONDS
            statement = stated(key, self.issuer, int(until), self.keyring.checkpoint)
            published = await self.ledger.publish_key(kid, statement, until)
            if kid == self.keyring.own.current_id:
                self._known_at = published + 2 * LEARN_SECONDS
        self._renewed = now

    async def learn(self) -> None:
        """Take over what the others have told. Raises `Refusal(unavailable)`."""
        found = await self.ledger.published_keys()
        self.keyring.learn(believed(found, self.keyring.checkpoint.public, self.issuer, self.clock()))

    async def known(self) -> None:
        """Return once every other broker has had the time to learn the key that signs here."""
        if set(self.keyring.keys.public) - set(self.keyring.own.public):
            await asyncio.sleep(max(0.0, self._known_at - self.clock()))

    async def run(self) -> None:
        """Learn and renew for ever."""
        while True:
            await asyncio.sleep(LEARN_SECONDS)
            try:
                if self.clock() - self._renewed >= _RENEW_SECONDS:
                    await self.publish()
                await self.learn()
            except Refusal as refusal:
                _LOG.warning("the other brokers' keys were not learnt", why=str(refusal))


def stated(key: Ed25519PublicKey, issuer: str, until: int, by: SigningKeys) -> str:
    """The statement that this is a key of one of us."""
    claims: dict[str, Json] = {"iss": issuer, "jwk": dict(jwks.of(key)), "exp": until}
    return jws.sign(claims, _FORM.typ, by.current, {"kid": by.current_id})


def believed(
    found: Iterable[PublishedKey], by: Mapping[str, Ed25519PublicKey], issuer: str, now: float
) -> dict[str, Ed25519PublicKey]:
    """The keys whose statements hold; pure. Whatever else the database says of them does not matter."""
    keys = (_believed(one, by, issuer, now) for one in found)
    return {jwks.thumbprint(key): key for key in keys if key is not None}


def _believed(
    one: PublishedKey, by: Mapping[str, Ed25519PublicKey], issuer: str, now: float
) -> Ed25519PublicKey | None:
    def key_of(header: jws.Header) -> Ed25519PublicKey:
        signer = by.get(str(header.get("kid")))
        if signer is None:
            raise Refusal(Code.UNAVAILABLE, "the statement is not signed by our key")
        return signer

    try:
        _, claims = jws.read(one.statement, _FORM, key_of)
        key = jwks.read(claims["jwk"], Code.UNAVAILABLE)
    except Refusal as refusal:
        _LOG.error("a published key is not believed", kid=one.kid, why=str(refusal))
        return None
    until = claims["exp"]
    return key if claims["iss"] == issuer and isinstance(until, int) and until > now else None
