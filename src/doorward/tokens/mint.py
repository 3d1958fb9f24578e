"""Minting: a Permit goes in, a capability comes out, and nothing else goes in."""

from __future__ import annotations

from dataclasses import dataclass

from doorward.core import digest
from doorward.core.decision import Permit
from doorward.core.strictjson import Json
from doorward.tokens import jws
from doorward.tokens.claims import FORM, LIFETIME
from doorward.tokens.keys import SigningKeys


@dataclass(frozen=True, slots=True)
class Binding:
    """What the ledger and the session add to a permit."""

    capability_id: str
    decision_id: str
    event_hash: str
    epoch: str
    key_thumbprint: str
    now: int
    """Seconds since the epoch."""


def mint(permit: Permit, binding: Binding, issuer: str, keys: SigningKeys) -> str:
    """The capability for exactly the permitted action, as a compact JWS."""
    principal = permit.principal
    claims: dict[str, Json] = {
        "iss": issuer,
        "aud": permit.audience,
        "sub": principal.task_uid,
        "act": {
            "task": principal.task,
            "namespace": principal.namespace,
            "role": principal.role,
            "requestedBy": principal.requested_by,
        },
        "jti": binding.capability_id,
        "iat": binding.now,
        "nbf": binding.now,
        "exp": binding.now + LIFETIME,
        "action": permit.action.name,
        "connector": permit.action.connector,
        "resource": dict(permit.action.resource),
        "digest": digest.of(permit.action),
        "policy": permit.policy_hash,
        "epoch": binding.epoch,
        "caveats": dict(permit.caveats),
        "cnf": {"jkt": binding.key_thumbprint},
        "decision": binding.decision_id,
        "evt": binding.event_hash,
        **({} if permit.grant is None else {"grant": permit.grant}),
    }
    token = jws.sign(claims, FORM.typ, keys.current, {"kid": keys.current_id})
    keys.made.remember(token, keys.public[keys.current_id])
    return token
